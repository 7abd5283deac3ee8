//! Values of header fields.

use std::{fmt, io::Write};

use axum::http::HeaderValue;

/// The most bytes that a value takes which is written here.
const FIELD_SIZE_MAX: usize = 64;

/// A value of a header field, written on the stack: each read writes several.
///
/// # Panics
///
/// Panics beyond 64 bytes, and if it is not ASCII that can be seen: no field here is so.
pub(crate) fn field_value(value: fmt::Arguments<'_>) -> HeaderValue {
    let mut bytes = [0; FIELD_SIZE_MAX];
    let mut rest = &mut bytes[..];
    rest.write_fmt(value).expect("no field is longer");
    let size = FIELD_SIZE_MAX - rest.len();
    HeaderValue::from_bytes(&bytes[..size]).expect("it is ASCII that can be seen")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_the_standard_library_writes_them() {
        for number in [0, 9, 10, 0x0123_4567_89ab_cdef, u64::MAX] {
            let field = field_value(format_args!("a {number}-{number:016x}"));
            assert_eq!(field, format!("a {number}-{number:016x}"));
        }
    }
}
