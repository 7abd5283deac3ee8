//! Cases about GET.

use hyper::Method;

use super::{GET, MIDDLE, NEW, NEWEST, OLD};
use crate::case::{Body, Case, Target, Value, Want, get, put, request, stored};

/// The smallest TTL in every packet, in seconds. pkarr relays cache no longer either.
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
            "a path that is no key: 400",
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
            "the type is application/pkarr.org/relays#payload",
            GET,
            [
                stored(NEW),
                get()
                    .status(&[200])
                    .has("content-type", "application/pkarr.org/relays#payload"),
            ],
        ),
        Case::must(
            "caches may keep it: public, max-age",
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
            "Memento-Datetime: when the DHT was seen to have it",
            GET,
            [
                stored(NEW),
                get().status(&[200]).has("memento-datetime", "gmt"),
            ],
        )
        .but(
            "No DHT is asked. If the field said when the packet came, a pkarr client that keeps \
              what it read would throw away what is old by then though nothing is newer.",
        ),
        Case::should(
            "its length is told",
            "RFC 9110, 8.6",
            [
                stored(NEW),
                get()
                    .status(&[200])
                    .wants(Want::HasLength("content-length", NEW)),
            ],
        ),
        Case::should(
            "an entity tag tells versions apart",
            "RFC 9110, 8.8.3",
            [stored(NEW), get().status(&[200]).has("etag", "\"")],
        ),
        Case::must(
            "policy=NetworkOnly finds what was just stored",
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
            "HEAD says what GET would, without the packet",
            "RFC 9110, 9.3.2",
            [
                stored(NEW),
                request(Method::HEAD)
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
            "If-Modified-Since a later second: 304, and no packet",
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
            "a packet of a whole second is not modified since it: 304",
            GET,
            [
                stored(MIDDLE),
                get()
                    .with("if-modified-since", Value::Date(MIDDLE))
                    .status(&[304]),
            ],
        ),
        Case::must(
            "any packet is not modified since its own Last-Modified: 304",
            "RFC 9110, 13.1.3",
            [
                stored(NEW),
                get()
                    .with("if-modified-since", Value::Date(NEW))
                    .status(&[304]),
            ],
        )
        .but(
            "A date has seconds only. An endpoint may publish twice in one, and a 304 would hide \
              the second packet until the next; pkarr-relay does the same. An entity tag gives the \
              304.",
        ),
        Case::should(
            "a second packet of the same second is not hidden: 200",
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
            "If-None-Match the tag that it has: 304 with that tag",
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
            "If-None-Match the tag that it had: 200",
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
            "If-None-Match counts, If-Modified-Since beside it not",
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
