//! PUTs with conditions, as clients of pkarr up to version 6 send them and RFC 9110 defines them.

use super::{CONDITIONAL, MIDDLE, NEW, OLD};
use crate::case::{Body, Case, Value, Want, get, put, stored};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::must(
            "If-Match the timestamp of the stored packet: 204",
            CONDITIONAL,
            [
                stored(OLD),
                put(Body::Packet(NEW))
                    .with("if-match", Value::Micros(OLD))
                    .status(&[204]),
            ],
        ),
        Case::must(
            "If-Match another timestamp: 412, and nothing changes",
            CONDITIONAL,
            [
                stored(OLD),
                put(Body::Packet(NEW))
                    .with("if-match", Value::Micros(MIDDLE))
                    .status(&[412]),
                get().wants(Want::BodyOf(OLD)),
            ],
        ),
        Case::must(
            "If-Match the entity tag: 204",
            "RFC 9110, 13.1.1",
            [
                stored(OLD),
                get().status(&[200]).has("etag", "\""),
                put(Body::Packet(NEW))
                    .with("if-match", Value::LastTag)
                    .status(&[204]),
            ],
        ),
        Case::must(
            "If-Match an old tag: 412",
            "RFC 9110, 13.1.1",
            [
                stored(OLD),
                get().status(&[200]),
                stored(MIDDLE),
                put(Body::Packet(NEW))
                    .with("if-match", Value::LastTag)
                    .status(&[412]),
                get().wants(Want::BodyOf(MIDDLE)),
            ],
        ),
        Case::must(
            "If-Match * while nothing is stored: 412",
            "RFC 9110, 13.1.1",
            [
                put(Body::Packet(NEW))
                    .with("if-match", Value::Text("*"))
                    .status(&[412]),
                get().status(&[404]),
            ],
        ),
        Case::must(
            "If-Match * while a packet is stored: 204",
            "RFC 9110, 13.1.1",
            [
                stored(OLD),
                put(Body::Packet(NEW))
                    .with("if-match", Value::Text("*"))
                    .status(&[204]),
            ],
        ),
        Case::must(
            "If-Match a version while nothing is stored: 412",
            "RFC 9110, 13.1.1",
            [put(Body::Packet(NEW))
                .with("if-match", Value::Micros(OLD))
                .status(&[412])],
        )
        .but(
            "The DHT compares only with a stored value (BEP 44), and a relay where a packet has expired must not reject its owner: no packet that the client does not know is replaced.",
        ),
        Case::may(
            "the same bytes again, with a condition that is no longer met: 204",
            "RFC 9110, 13.1.1",
            [
                stored(OLD),
                put(Body::Packet(NEW))
                    .with("if-match", Value::Micros(OLD))
                    .status(&[204]),
                put(Body::Packet(NEW))
                    .with("if-match", Value::Micros(OLD))
                    .status(&[204]),
            ],
        ),
        Case::must(
            "If-None-Match * while a packet is stored: 412",
            "RFC 9110, 13.1.2",
            [
                stored(OLD),
                put(Body::Packet(NEW))
                    .with("if-none-match", Value::Text("*"))
                    .status(&[412]),
                get().wants(Want::BodyOf(OLD)),
            ],
        ),
        Case::must(
            "If-None-Match * while nothing is stored: 204",
            "RFC 9110, 13.1.2",
            [put(Body::Packet(NEW))
                .with("if-none-match", Value::Text("*"))
                .status(&[204])],
        ),
        Case::must(
            "If-Unmodified-Since an earlier second: 412",
            "RFC 9110, 13.1.4",
            [
                stored(MIDDLE),
                put(Body::Packet(NEW))
                    .with("if-unmodified-since", Value::Date(OLD))
                    .status(&[412]),
                get().wants(Want::BodyOf(MIDDLE)),
            ],
        ),
        Case::must(
            "If-Unmodified-Since the packet's own second: 204",
            "RFC 9110, 13.1.4",
            [
                stored(MIDDLE),
                put(Body::Packet(NEW))
                    .with("if-unmodified-since", Value::Date(MIDDLE))
                    .status(&[204]),
            ],
        ),
        Case::must(
            "a condition that is not a valid date is ignored: 204",
            "RFC 9110, 13.1.4",
            [
                stored(OLD),
                put(Body::Packet(NEW))
                    .with("if-unmodified-since", Value::Text("today"))
                    .status(&[204]),
            ],
        ),
    ]
}
