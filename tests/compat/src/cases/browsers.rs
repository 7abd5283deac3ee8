//! What a page from another origin may read (Fetch standard, section 3.2).

use hyper::Method;

use super::{API, GET, NEW, OLD};
use crate::case::{Body, Case, PAGE_ORIGIN, Step, Value, Want, get, put, request, stored};

const PREFLIGHT: &str = "Fetch, CORS-preflight fetch";

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::must("a packet, and that it was stored", API, [
            from_a_page(stored(NEW)),
            from_a_page(get()).status(&[200]).wants(Want::BodyOf(NEW)),
        ]),
        Case::must("that there is none", API, [from_a_page(get()).status(&[404])]),
        Case::must("that a packet is older, damaged, or too long", API, [
            stored(NEW),
            from_a_page(put(Body::Packet(OLD))),
            from_a_page(put(Body::Damaged(NEW))),
            from_a_page(put(Body::PacketOfSize(NEW, 2000))),
        ]),
        Case::must("that it sent too many", API, [
            from_a_page(put(Body::Packet(NEW))).until(429, 40).status(&[429]),
        ])
        .limited(),
        Case::must("a preflight for a PUT passes", PREFLIGHT, [
            preflight("content-type")
                .status(&[200, 204])
                .has("access-control-allow-methods", "put"),
        ]),
        Case::should("and so does one for a PUT on a condition", PREFLIGHT, [
            preflight("content-type, if-match")
                .status(&[200, 204])
                .wants(Want::Allows("if-match")),
        ]),
        Case::may("what a preflight allows may be kept", "Fetch, CORS-preflight cache", [
            preflight("content-type").status(&[200, 204]).has("access-control-max-age", ""),
        ]),
        Case::must("the methods are told on every answer", GET, [
            stored(NEW),
            get().status(&[200]).has("access-control-allow-methods", "put"),
        ])
        .but("A browser reads the field on answers to preflights only, and there it is. On all others \
              it would be bytes that nobody reads."),
    ]
}

fn from_a_page(step: Step) -> Step {
    step.with("origin", Value::Text(PAGE_ORIGIN))
        .wants(Want::OpenToPages)
}

fn preflight(headers: &'static str) -> Step {
    from_a_page(request(Method::OPTIONS))
        .with("access-control-request-method", Value::Text("PUT"))
        .with("access-control-request-headers", Value::Text(headers))
}
