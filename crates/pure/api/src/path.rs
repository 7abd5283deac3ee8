//! Where things are.

use std::fmt::Write;

pub use crate::{
    member::path::*, packet::path::*, policy::path::*, runtime::path::*, status::path::*,
    zone::path::*,
};

/// This API as an OpenAPI document. GET.
pub const OPENAPI: &str = "/v1/openapi.json";

/// One of these paths with `value` in the place of what stands in braces, percent-encoded where it
/// has to be (RFC 3986, section 2).
pub fn with(path: &str, value: &str) -> String {
    let Some((before, (_, after))) = path
        .split_once('{')
        .and_then(|(before, rest)| Some((before, rest.split_once('}')?)))
    else {
        return path.to_owned();
    };
    let mut filled = before.to_owned();
    for byte in value.bytes() {
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~' => {
                filled.push(char::from(byte));
            }
            _ => write!(filled, "%{byte:02X}").expect("a string takes all"),
        }
    }
    filled + after
}
