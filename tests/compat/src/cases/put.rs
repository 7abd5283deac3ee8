//! Cases about PUT.

use super::{GET, MIDDLE, NEW, NEWEST, OLD, PUT};
use crate::case::{Body, Case, Target, Value, Want, get, put, stored};

/// The most bytes of a payload: 72, and 1000 of DNS.
const SIZE_MAX: usize = 1072;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::must(
            "a packet is stored: 204",
            PUT,
            [
                put(Body::Packet(NEW)).status(&[204]),
                get().status(&[200]).wants(Want::BodyOf(NEW)),
            ],
        ),
        Case::must(
            "a newer one replaces it: 204",
            PUT,
            [
                stored(OLD),
                put(Body::Packet(NEW)).status(&[204]),
                get().status(&[200]).wants(Want::BodyOf(NEW)),
            ],
        ),
        Case::must(
            "the same bytes again: 204",
            "BEP 44, expiration",
            [
                stored(NEW),
                put(Body::Packet(NEW)).status(&[204]),
                get().status(&[200]).wants(Want::BodyOf(NEW)),
            ],
        ),
        Case::must(
            "an older one: 409, and nothing changes",
            PUT,
            [
                stored(NEW),
                put(Body::Packet(OLD)).status(&[409]),
                get().status(&[200]).wants(Want::BodyOf(NEW)),
            ],
        ),
        Case::must(
            "older by less than a millisecond: 409",
            PUT,
            [
                stored(NEWEST),
                put(Body::Packet(NEW)).status(&[409]),
                get().status(&[200]).wants(Want::BodyOf(NEWEST)),
            ],
        ),
        Case::must(
            "what was acknowledged is what a GET gives next, five times",
            GET,
            [
                stored(OLD),
                get().wants(Want::BodyOf(OLD)),
                stored(OLD + 1),
                get().wants(Want::BodyOf(OLD + 1)),
                stored(MIDDLE),
                get().wants(Want::BodyOf(MIDDLE)),
                stored(NEW),
                get().wants(Want::BodyOf(NEW)),
                stored(NEWEST),
                get().wants(Want::BodyOf(NEWEST)),
            ],
        ),
        Case::must(
            "a signature that is wrong: 400",
            PUT,
            [put(Body::Damaged(NEW)).status(&[400]), get().status(&[404])],
        ),
        Case::must(
            "signed by another key: 400",
            PUT,
            [
                put(Body::OfAnotherKey(NEW)).status(&[400]),
                get().status(&[404]),
            ],
        ),
        Case::must(
            "signed well, but no DNS message: 400",
            PUT,
            [put(Body::NoDns(NEW)).status(&[400]), get().status(&[404])],
        ),
        Case::must(
            "a path that is no key: 400",
            PUT,
            [put(Body::Packet(NEW))
                .at(Target::Segment("short"))
                .status(&[400])],
        ),
        Case::must("no body: 400", PUT, [put(Body::Empty).status(&[400])]),
        Case::must(
            "shorter than signature and timestamp: 400",
            PUT,
            [put(Body::Cut(NEW, 71)).status(&[400])],
        ),
        Case::must(
            "the longest packet, 1,072 bytes: 204",
            PUT,
            [
                put(Body::PacketOfSize(NEW, SIZE_MAX)).status(&[204]),
                get().status(&[200]).has("content-length", "1072"),
            ],
        ),
        Case::must(
            "one byte longer: 413",
            PUT,
            [
                put(Body::PacketOfSize(NEW, SIZE_MAX + 1)).status(&[413]),
                get().status(&[404]),
            ],
        ),
        Case::must(
            "the same without a length said before: 413",
            PUT,
            [put(Body::PacketOfSize(NEW, SIZE_MAX + 1))
                .with("transfer-encoding", Value::Text("chunked"))
                .status(&[413])],
        ),
        Case::must(
            "a packet without a length said before: 204",
            "RFC 9112, 7.1",
            [
                put(Body::Packet(NEW))
                    .with("transfer-encoding", Value::Text("chunked"))
                    .status(&[204]),
                get().status(&[200]).wants(Want::BodyOf(NEW)),
            ],
        ),
        Case::must(
            "it tells how many nodes of the DHT store it",
            PUT,
            [put(Body::Packet(NEW))
                .status(&[204])
                .has("pkarr-dht-stored-nodes", "")],
        )
        .but(
            "There is no DHT behind it. pkarr 8 takes an answer without the field for one that \
              stores the packet, which is right; 0 would tell it that nobody does.",
        ),
        Case::must(
            "too many PUTs of an address: 429",
            PUT,
            [put(Body::Packet(NEW)).until(429, 40).status(&[429])],
        )
        .limited(),
        Case::may(
            "and says when to come back",
            "RFC 6585, 4",
            [put(Body::Packet(NEW))
                .until(429, 40)
                .status(&[429])
                .has("retry-after", "")],
        )
        .limited(),
    ]
}
