//! Parses queries. Anybody may have sent the bytes.

use quorate_packet::message::HEADER_SIZE;
use quorate_zone::Question;

use crate::{
    edns::{Edns, Options, RECORD_FIXED_SIZE},
    rcode::Rcode,
};

/// The largest query that is read, in bytes. Header and question need at most 271; the rest is for
/// options such as padding to blocks of 128 (RFC 8467).
pub const QUERY_SIZE_MAX: usize = 4096;

/// The longest name on the wire, in bytes (RFC 1035, section 2.3.4).
const NAME_SIZE_MAX: usize = 255;

/// The size of the type and class of a question, in bytes.
const QUESTION_FIXED_SIZE: usize = 4;

const TYPE_OPT: [u8; 2] = [0, 41];

/// The fields of a query's header that the response repeats: ID, opcode, and the bits RD and CD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) id: [u8; 2],
    /// Opcode and RD, at their positions in the third byte.
    pub(crate) opcode_and_rd: u8,
    /// CD, at its position in the fourth byte (RFC 4035, section 3.1.6).
    pub(crate) cd: u8,
}

/// A message that gets a response.
#[derive(Debug)]
pub(crate) struct Query<'m> {
    pub(crate) header: Header,
    /// The OPT record, if parsing reached one. A query with an OPT record gets a response with one,
    /// even if the rest is malformed (RFC 6891, section 7).
    pub(crate) edns: Option<Edns<'m>>,
    /// The question, or the response code for a message without a valid one.
    pub(crate) question: Result<Question<'m>, Rcode>,
}

impl<'m> Query<'m> {
    /// Parses a message without allocations, and without following compression pointers. `None` if
    /// it is shorter than a header, or a response: answering responses could make two servers loop.
    pub(crate) fn parse(message: &'m [u8]) -> Option<Self> {
        let (header, _) = message.split_first_chunk::<HEADER_SIZE>()?;
        if header[2] & 0x80 != 0 {
            return None;
        }
        let mut body = MessageBody::new(header, message);
        let is_well_formed = body.parse().is_some();
        let requests_cookie = body.edns.is_some_and(|edns| edns.options.cookie.is_some());
        let question = match (body.question, body.question_count) {
            // Messages with other opcodes may have another format, so they are not checked.
            _ if header[2] & 0x78 != 0 => Err(Rcode::NotImp),
            _ if !is_well_formed => Err(Rcode::FormErr),
            (Some(question), 1) => Ok(question),
            // RFC 7873, section 5.4: the client only requests a cookie.
            (_, 0) if requests_cookie => Err(Rcode::NoError),
            // RFC 9619.
            (_, _) => Err(Rcode::FormErr),
        };
        Some(Self {
            header: Header {
                id: [header[0], header[1]],
                opcode_and_rd: header[2] & 0x79,
                cd: header[3] & 0x10,
            },
            edns: body.edns,
            question,
        })
    }
}

struct MessageBody<'m> {
    message: &'m [u8],
    /// The offset of the next part.
    at: usize,
    question_count: u16,
    /// The number of answer and authority records. This server skips them, but they must be there.
    other_count: u32,
    additional_count: u16,
    /// The first question.
    question: Option<Question<'m>>,
    edns: Option<Edns<'m>>,
}

impl<'m> MessageBody<'m> {
    fn new(header: &[u8; HEADER_SIZE], message: &'m [u8]) -> Self {
        let count = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        Self {
            message,
            at: HEADER_SIZE,
            question_count: count(4),
            other_count: u32::from(count(6)) + u32::from(count(8)),
            additional_count: count(10),
            question: None,
            edns: None,
        }
    }

    /// Parses the complete message; `None` if it is malformed. Keeps what it read until then.
    fn parse(&mut self) -> Option<()> {
        for index in 0..self.question_count {
            let question = Question::parse(self.message.get(self.at..)?);
            match (index, question) {
                (0, Some(question)) => {
                    self.at += question.wire().len();
                    self.question = Some(question);
                }
                // More than one question is an error, but an OPT record may follow them.
                (1.., _) => {
                    self.skip_name()?;
                    self.at += QUESTION_FIXED_SIZE;
                }
                (0, None) => return None,
            }
        }
        for _ in 0..self.other_count {
            self.skip_name()?;
            self.skip_fixed()?;
        }
        for _ in 0..self.additional_count {
            self.parse_additional()?;
        }
        (self.at == self.message.len()).then_some(())
    }

    fn parse_additional(&mut self) -> Option<()> {
        let name_at = self.at;
        self.skip_name()?;
        let (fixed, data) = self.skip_fixed()?;
        if !fixed.starts_with(&TYPE_OPT) {
            return Some(());
        }
        // At most one is allowed, and its owner is the root (RFC 6891, section 6.1.1).
        let is_duplicate = self.edns.is_some();
        let edns = self.edns.get_or_insert_with(|| Edns::new(fixed));
        if is_duplicate || self.message[name_at] != 0 {
            return None;
        }
        edns.options = Options::parse(data)?;
        Some(())
    }

    /// Skips the next name. A compressed name ends in a pointer, which is not followed.
    fn skip_name(&mut self) -> Option<()> {
        let start = self.at;
        loop {
            let len = usize::from(*self.message.get(self.at)?);
            match len {
                0 => {
                    self.at += 1;
                    return (self.at - start <= NAME_SIZE_MAX).then_some(());
                }
                1..=63 => self.at += 1 + len,
                0xc0.. => {
                    self.at += 2;
                    return (self.at <= self.message.len()).then_some(());
                }
                _ => return None,
            }
        }
    }

    /// Skips the rest of a record after its name, and returns that rest.
    fn skip_fixed(&mut self) -> Option<(&'m [u8; RECORD_FIXED_SIZE], &'m [u8])> {
        let rest = self.message.get(self.at..)?;
        let (fixed, rest) = rest.split_first_chunk::<RECORD_FIXED_SIZE>()?;
        let data = rest.get(..usize::from(u16::from_be_bytes([fixed[8], fixed[9]])))?;
        self.at += RECORD_FIXED_SIZE + data.len();
        Some((fixed, data))
    }
}

#[cfg(test)]
#[path = "query_tests.rs"]
mod tests;
