//! Cases that HTTP requires of every server.

use hyper::Method;

use super::{GET, NEW};
use crate::case::{Body, Case, Protocol, Target, Value, Want, get, put, request, stored};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::must(
            "a method that a packet has not: 405, with those that it has",
            "RFC 9110, 15.5.6",
            [
                request(Method::DELETE).status(&[405]).has("allow", "get"),
                request(Method::POST).status(&[405]).has("allow", "put"),
            ],
        ),
        Case::must(
            "a 204 has no content",
            "RFC 9110, 15.3.5",
            [put(Body::Packet(NEW))
                .status(&[204])
                .wants(Want::HasNot("content-length"))
                .wants(Want::HasNot("transfer-encoding"))
                .wants(Want::NoBody)],
        ),
        Case::must(
            "a client that expects 100 is answered",
            "RFC 9110, 10.1.1",
            [put(Body::Packet(NEW))
                .with("expect", Value::Text("100-continue"))
                .status(&[204])],
        ),
        Case::should(
            "HTTP/2, with prior knowledge",
            GET,
            [
                stored(NEW).over(Protocol::Http2),
                get()
                    .over(Protocol::Http2)
                    .status(&[200])
                    .wants(Want::BodyOf(NEW)),
            ],
        ),
        Case::may(
            "errors are problem documents",
            "RFC 9457",
            [
                get()
                    .at(Target::Segment("short"))
                    .status(&[400])
                    .has("content-type", "application/problem+json"),
                get()
                    .status(&[404])
                    .has("content-type", "application/problem+json"),
            ],
        ),
    ]
}
