//! Builds values of header fields.

use std::fmt;

use axum::http::HeaderValue;

/// The most bytes of a value that is built here.
const FIELD_SIZE_MAX: usize = 64;

const HEX_DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Builds the value of a header field on the stack, and writes numbers without the formatter of the
/// standard library, because each read writes several of these.
pub(crate) struct Field {
    bytes: [u8; FIELD_SIZE_MAX],
    size: usize,
}

impl Field {
    pub(crate) fn new() -> Self {
        Self {
            bytes: [0; FIELD_SIZE_MAX],
            size: 0,
        }
    }

    /// # Panics
    ///
    /// Panics if the value gets longer than 64 bytes. No field here does.
    pub(crate) fn text(mut self, text: &str) -> Self {
        self.push(text.as_bytes());
        self
    }

    /// Appends a number in decimal digits.
    pub(crate) fn number(self, number: u64) -> Self {
        self.text(itoa::Buffer::new().format(number))
    }

    /// Appends a number in sixteen hexadecimal digits.
    pub(crate) fn hex(mut self, number: u64) -> Self {
        let digit = |place: usize| HEX_DIGITS[(number >> (60 - 4 * place)) as usize % 16];
        self.push(&std::array::from_fn::<_, 16, _>(digit));
        self
    }

    /// # Panics
    ///
    /// Panics if the value has bytes other than printable ASCII.
    pub(crate) fn value(&self) -> HeaderValue {
        HeaderValue::from_bytes(&self.bytes[..self.size]).expect("it is printable ASCII")
    }

    fn push(&mut self, bytes: &[u8]) {
        let end = self.size + bytes.len();
        self.bytes[self.size..end].copy_from_slice(bytes);
        self.size = end;
    }
}

impl fmt::Write for Field {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_the_standard_library_writes_them() {
        for number in [0, 9, 10, 0x0123_4567_89ab_cdef, u64::MAX] {
            let field = Field::new().text("a ").number(number).text("-").hex(number);
            assert_eq!(field.value(), format!("a {number}-{number:016x}"));
        }
    }
}
