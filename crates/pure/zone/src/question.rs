//! Parses the question of a query. Anybody may have sent the bytes.

use std::fmt;

use hickory_proto::rr::RecordType;
use quorate_packet::label_text;

use crate::name::{Labels, NameRef};

/// What follows the name of a question, in bytes: type and class.
const FIXED_SIZE: usize = 4;

/// A question, byte for byte as the client sent it (RFC 1035, section 4.1.2).
#[derive(Debug, Clone)]
pub struct Question<'q> {
    wire: &'q [u8],
    labels: Labels,
}

impl<'q> Question<'q> {
    /// Parses the question at the start of `bytes`, which follow the header of a query. `None` if
    /// it is incomplete or malformed. Its name cannot be compressed: it is the first.
    pub fn parse(bytes: &'q [u8]) -> Option<Self> {
        let labels = Labels::parse(bytes)?;
        let wire = bytes.get(..labels.size() + FIXED_SIZE)?;
        Some(Self { wire, labels })
    }

    /// The complete question: name, type, class.
    pub fn wire(&self) -> &'q [u8] {
        self.wire
    }

    /// The name, uncompressed, in the client's own letter case (RFC 4343).
    pub fn name(&self) -> &'q [u8] {
        &self.wire[..self.labels.size()]
    }

    /// The type (QTYPE).
    pub fn record_type(&self) -> u16 {
        self.fixed(0)
    }

    /// The class (QCLASS).
    pub fn class(&self) -> u16 {
        self.fixed(2)
    }

    fn fixed(&self, at: usize) -> u16 {
        let at = self.labels.size() + at;
        u16::from_be_bytes([self.wire[at], self.wire[at + 1]])
    }

    pub(crate) fn name_ref(&self) -> NameRef<'_> {
        NameRef::new(self.wire, &self.labels)
    }
}

/// `<name> <type>`, as a zone file writes them.
impl fmt::Display for Question<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_name(self.name_ref(), f)?;
        write!(f, " {}", RecordType::from(self.record_type()))
    }
}

fn write_name(name: NameRef<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let places = (0..name.label_count()).rev();
    for label in places.filter_map(|index| name.label_from_right(index)) {
        write!(f, "{}.", label_text(label))?;
    }
    match name.label_count() {
        0 => f.write_str("."),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_keeps_its_bytes() {
        let bytes = b"\x05_iRoh\x03a.b\0\0\x10\0\x01more";
        let question = Question::parse(bytes).unwrap();
        assert_eq!(question.wire().len(), bytes.len() - 4);
        assert_eq!(question.name(), b"\x05_iRoh\x03a.b\0");
        assert_eq!((question.record_type(), question.class()), (16, 1));
        assert_eq!(question.to_string(), "_iRoh.a\\.b. TXT");
        let root = Question::parse(b"\0\0\x02\0\x01").unwrap();
        assert_eq!(root.to_string(), ". NS");
    }

    #[test]
    fn incomplete_questions_are_rejected() {
        let bytes = b"\x05_iroh\0\0\x10\0\x01";
        for size in 0..bytes.len() {
            assert!(Question::parse(&bytes[..size]).is_none(), "{size}");
        }
        assert!(Question::parse(b"\xc0\x0c\0\x10\0\x01").is_none());
        assert!(Question::parse(b"\x40_iroh\0\0\x10\0\x01").is_none());
    }
}
