//! Conditional PUTs, as clients of pkarr up to 6 send them, and as RFC 9110 defines them.

use super::{CONDITIONAL, MIDDLE, NEW, OLD};
use crate::case::{Body, Case, Value, Want, get, put, stored};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::must(
            "If-Match the timestamp of what is stored: 204",
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
            "If-Match a tag that it had: 412",
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
            "If-Match * while something is: 204",
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
            "The DHT compares only with what is there (BEP 44), and a relay that has forgotten a \
              key must not refuse its owner: nothing is replaced that the client does not know.",
        ),
        Case::may(
            "the same bytes again, on a condition that they no longer meet: 204",
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
            "If-None-Match * while something is stored: 412",
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
            "If-None-Match * while nothing is: 204",
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
            "If-Unmodified-Since its own second: 204",
            "RFC 9110, 13.1.4",
            [
                stored(MIDDLE),
                put(Body::Packet(NEW))
                    .with("if-unmodified-since", Value::Date(MIDDLE))
                    .status(&[204]),
            ],
        ),
        Case::must(
            "a condition that cannot be read as a date counts not: 204",
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
