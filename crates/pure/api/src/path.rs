//! The paths of the admin API.

use std::fmt::Write;

pub use crate::{
    certificate::path::*, dht::path::*, member::path::*, packet::path::*, policy::path::*,
    runtime::path::*, secrets::path::*, status::path::*, zone::path::*,
};

/// This API as an OpenAPI document. GET.
pub const OPENAPI: &str = "/v1/openapi.json";

/// Returns `path` with its parameter in braces replaced by `value`, percent-encoded where necessary
/// (RFC 3986, section 2).
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
            _ => write!(filled, "%{byte:02X}").expect("writing to a string never fails"),
        }
    }
    filled + after
}
