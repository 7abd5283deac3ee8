//! Answers to a GET.

use hyper::Method;

use super::{GET, MIDDLE, NEW, NEWEST, OLD};
use crate::case::{Body, Case, Target, Value, Want, ask, get, put, stored};

/// The smallest TTL in every packet, in seconds, and the longest `max-age` of a pkarr relay for it.
const FRESH_SECS_MAX: u64 = 300;

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = answers();
    cases.extend(conditional());
    cases
}

fn answers() -> Vec<Case> {
    vec![
        Case::must("nothing is stored: 404", GET, [get().status(&[404])]),
        Case::must(
            "a path that is not a key: 400",
            GET,
            [get().at(Target::Segment("short")).status(&[400])],
        ),
        Case::must(
            "the key at the root of the URL",
            GET,
            [
                put(Body::Packet(NEW)).at(Target::KeyAtRoot).status(&[204]),
                get()
                    .at(Target::KeyAtRoot)
                    .status(&[200])
                    .wants(Want::BodyOf(NEW)),
            ],
        ),
        Case::must(
            "Content-Type is application/pkarr.org/relays#payload",
            GET,
            [
                stored(NEW),
                get()
                    .status(&[200])
                    .has("content-type", "application/pkarr.org/relays#payload"),
            ],
        ),
        Case::must(
            "caches may store it: public, max-age",
            GET,
            [
                stored(NEW),
                get()
                    .status(&[200])
                    .has("cache-control", "public")
                    .wants(Want::FreshFor(FRESH_SECS_MAX)),
            ],
        ),
        Case::must(
            "Last-Modified is the packet's timestamp",
            GET,
            [
                stored(NEW),
                get()
                    .status(&[200])
                    .wants(Want::HasDate("last-modified", NEW)),
            ],
        ),
        Case::must(
            "Memento-Datetime: when the packet was last seen in the DHT",
            GET,
            [
                stored(NEW),
                get().status(&[200]).has("memento-datetime", "gmt"),
            ],
        )
        .but(
            "A stored packet was received, and not seen in the DHT. With the time of the PUT in this field, a pkarr client would drop a packet from its cache as old although there is no newer one.",
        ),
        Case::should(
            "the answer has a Content-Length",
            "RFC 9110, 8.6",
            [
                stored(NEW),
                get()
                    .status(&[200])
                    .wants(Want::HasLength("content-length", NEW)),
            ],
        ),
        Case::should(
            "each version has its own entity tag",
            "RFC 9110, 8.8.3",
            [stored(NEW), get().status(&[200]).has("etag", "\"")],
        ),
        Case::must(
            "policy=NetworkOnly finds a packet that was just stored",
            "pkarr 8.1 client",
            [
                stored(NEW),
                get()
                    .at(Target::KeyWith("policy=NetworkOnly"))
                    .status(&[200])
                    .wants(Want::BodyOf(NEW)),
            ],
        ),
        Case::must(
            "and so do CacheOnly and CacheFirst",
            "pkarr 8.1 client",
            [
                stored(NEW),
                get()
                    .at(Target::KeyWith("policy=CacheOnly"))
                    .status(&[200])
                    .wants(Want::BodyOf(NEW)),
                get()
                    .at(Target::KeyWith("policy=CacheFirst"))
                    .status(&[200])
                    .wants(Want::BodyOf(NEW)),
            ],
        ),
        Case::must(
            "HEAD has the fields of GET, without the packet",
            "RFC 9110, 9.3.2",
            [
                stored(NEW),
                ask(Method::HEAD)
                    .status(&[200])
                    .wants(Want::HasLength("content-length", NEW))
                    .wants(Want::NoBody),
            ],
        ),
    ]
}

fn conditional() -> Vec<Case> {
    vec![
        Case::must(
            "If-Modified-Since a later second: 304 without the packet",
            GET,
            [
                stored(OLD),
                get()
                    .with("if-modified-since", Value::Date(MIDDLE))
                    .status(&[304])
                    .wants(Want::NoBody),
            ],
        ),
        Case::must(
            "If-Modified-Since an earlier second: 200",
            GET,
            [
                stored(NEW),
                get()
                    .with("if-modified-since", Value::Date(OLD))
                    .status(&[200]),
            ],
        ),
        Case::must(
            "If-Modified-Since the timestamp of a packet, in full seconds: 304",
            GET,
            [
                stored(MIDDLE),
                get()
                    .with("if-modified-since", Value::Date(MIDDLE))
                    .status(&[304]),
            ],
        ),
        Case::must(
            "If-Modified-Since the Last-Modified of any packet: 304",
            "RFC 9110, 13.1.3",
            [
                stored(NEW),
                get()
                    .with("if-modified-since", Value::Date(NEW))
                    .status(&[304]),
            ],
        )
        .but(
            "A date has only seconds. An endpoint may publish twice in one second, and a 304 would hide the second packet until a later one; pkarr-relay does the same. An entity tag gives the 304.",
        ),
        Case::should(
            "a second packet in the same second is not hidden: 200",
            "pkarr-relay 2.1",
            [
                stored(NEW),
                get().status(&[200]),
                stored(NEWEST),
                get()
                    .with("if-modified-since", Value::Date(NEW))
                    .status(&[200])
                    .wants(Want::BodyOf(NEWEST)),
            ],
        ),
        Case::must(
            "If-None-Match the current tag: 304 with that tag",
            "RFC 9110, 13.1.2",
            [
                stored(NEW),
                get().status(&[200]).has("etag", "\""),
                get()
                    .with("if-none-match", Value::LastTag)
                    .status(&[304])
                    .has("etag", "\"")
                    .has("cache-control", "max-age")
                    .wants(Want::NoBody),
            ],
        ),
        Case::must(
            "If-None-Match an old tag: 200",
            "RFC 9110, 13.1.2",
            [
                stored(NEW),
                get().status(&[200]),
                stored(NEWEST),
                get()
                    .with("if-none-match", Value::LastTag)
                    .status(&[200])
                    .wants(Want::BodyOf(NEWEST)),
            ],
        ),
        Case::must(
            "If-None-Match applies, and If-Modified-Since is then ignored",
            "RFC 9110, 13.1.3",
            [
                stored(OLD),
                get()
                    .with("if-none-match", Value::Text("\"another\""))
                    .with("if-modified-since", Value::Date(NEW))
                    .status(&[200]),
            ],
        ),
    ]
}
