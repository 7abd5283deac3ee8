//! What a page of another origin may read (Fetch standard, section 3.2).

use hyper::Method;

use super::{API, GET, NEW, OLD};
use crate::case::{Body, Case, PAGE_ORIGIN, Step, Value, Want, ask, get, put, stored};

const PREFLIGHT: &str = "Fetch, CORS-preflight fetch";

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::must("they can read a packet, and that a PUT was stored", API, [
            from_a_page(stored(NEW)),
            from_a_page(get()).status(&[200]).wants(Want::BodyOf(NEW)),
        ]),
        Case::must("they can read that there is no packet", API, [from_a_page(get()).status(&[404])]),
        Case::must("they can read that a packet is too old, invalid, or too long", API, [
            stored(NEW),
            from_a_page(put(Body::Packet(OLD))),
            from_a_page(put(Body::Damaged(NEW))),
            from_a_page(put(Body::PacketOfSize(NEW, 2000))),
        ]),
        Case::must("they can read that they sent too many", API, [
            from_a_page(put(Body::Packet(NEW))).until(429, 40).status(&[429]),
        ])
        .limited(),
        Case::must("a preflight for a PUT passes", PREFLIGHT, [
            preflight("content-type")
                .status(&[200, 204])
                .has("access-control-allow-methods", "put"),
        ]),
        Case::should("and a preflight for a PUT with a condition", PREFLIGHT, [
            preflight("content-type, if-match")
                .status(&[200, 204])
                .wants(Want::Allows("if-match")),
        ]),
        Case::may("the answer to a preflight may be cached", "Fetch, CORS-preflight cache", [
            preflight("content-type").status(&[200, 204]).has("access-control-max-age", ""),
        ]),
        Case::must("every answer lists the methods", GET, [
            stored(NEW),
            get().status(&[200]).has("access-control-allow-methods", "put"),
        ])
        .but("A browser reads the field only in answers to preflights, which have it. In other answers nothing would read it."),
    ]
}

fn from_a_page(step: Step) -> Step {
    step.with("origin", Value::Text(PAGE_ORIGIN))
        .wants(Want::OpenToPages)
}

fn preflight(headers: &'static str) -> Step {
    from_a_page(ask(Method::OPTIONS))
        .with("access-control-request-method", Value::Text("PUT"))
        .with("access-control-request-headers", Value::Text(headers))
}
