//! Values of header fields.

use std::{fmt, io::Write};

use axum::http::HeaderValue;

/// The most bytes that a value takes which is written here.
const FIELD_SIZE_MAX: usize = 64;

/// A value of a header field, written on the stack: a read writes several.
pub(crate) fn field(text: fmt::Arguments<'_>) -> HeaderValue {
    let mut bytes = [0; FIELD_SIZE_MAX];
    let mut rest = &mut bytes[..];
    rest.write_fmt(text).expect("no field here is longer");
    let size = FIELD_SIZE_MAX - rest.len();
    HeaderValue::from_bytes(&bytes[..size]).expect("it is ASCII that can be seen")
}
