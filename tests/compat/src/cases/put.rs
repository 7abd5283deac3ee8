//! Answers to a PUT.

use super::{GET, MIDDLE, NEW, NEWEST, OLD, PUT};
use crate::case::{Body, Case, Target, Value, Want, get, put, stored};

/// The largest payload, in bytes: 72, and 1000 of DNS.
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
            "a newer packet replaces it: 204",
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
            "an older packet: 409, and nothing changes",
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
            "the next GET returns what was acknowledged, five times",
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
            "an invalid signature: 400",
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
            "a valid signature, but no DNS message: 400",
            PUT,
            [put(Body::NoDns(NEW)).status(&[400]), get().status(&[404])],
        ),
        Case::must(
            "a path that is not a key: 400",
            PUT,
            [put(Body::Packet(NEW))
                .at(Target::Segment("short"))
                .status(&[400])],
        ),
        Case::must("no body: 400", PUT, [put(Body::Empty).status(&[400])]),
        Case::must(
            "shorter than a signature and a timestamp: 400",
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
            "the same without Content-Length: 413",
            PUT,
            [put(Body::PacketOfSize(NEW, SIZE_MAX + 1))
                .with("transfer-encoding", Value::Text("chunked"))
                .status(&[413])],
        ),
        Case::must(
            "a packet without Content-Length: 204",
            "RFC 9112, 7.1",
            [
                put(Body::Packet(NEW))
                    .with("transfer-encoding", Value::Text("chunked"))
                    .status(&[204]),
                get().status(&[200]).wants(Want::BodyOf(NEW)),
            ],
        ),
        Case::must(
            "the answer has the number of DHT nodes that store the packet",
            PUT,
            [put(Body::Packet(NEW))
                .status(&[204])
                .has("pkarr-dht-stored-nodes", "")],
        )
        .but(
            "Quorate does not use the DHT by default, and an answer never waits for it. pkarr 8 takes an answer without the field as stored, which is right; 0 would mean that no node stores it.",
        ),
        Case::must(
            "too many PUTs from an address: 429",
            PUT,
            [put(Body::Packet(NEW)).until(429, 40).status(&[429])],
        )
        .limited(),
        Case::may(
            "and a Retry-After",
            "RFC 6585, 4",
            [put(Body::Packet(NEW))
                .until(429, 40)
                .status(&[429])
                .has("retry-after", "")],
        )
        .limited(),
    ]
}
