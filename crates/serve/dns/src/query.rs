//! Queries, from bytes that anybody may have sent.

use quorate_packet::message::HEADER_SIZE;
use quorate_zone::Question;

use crate::{
    edns::{Edns, Options, RECORD_FIXED_SIZE},
    rcode::Rcode,
};

/// The largest query that is read, in bytes. A question takes at most 271; the rest is room for
/// options such as padding to blocks of 128 (RFC 8467).
pub const QUERY_SIZE_MAX: usize = 4096;

/// The longest name on the wire, in bytes (RFC 1035, section 2.3.4).
const NAME_SIZE_MAX: usize = 255;

/// What follows the name of a question: type and class.
const QUESTION_FIXED_SIZE: usize = 4;

const TYPE_OPT: [u8; 2] = [0, 41];

/// What of a query's header returns in the response: its id, opcode, and the bits RD and CD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) id: [u8; 2],
    /// Opcode and RD, at their places in the third byte.
    pub(crate) opcode_and_rd: u8,
    /// CD, at its place in the fourth byte (RFC 4035, section 3.1.6).
    pub(crate) cd: u8,
}

/// A message that is to be answered.
#[derive(Debug)]
pub(crate) struct Query<'m> {
    pub(crate) header: Header,
    /// The OPT record, as far as the message could be read: whoever sent one is answered with one,
    /// also if nothing else makes sense (RFC 6891, section 7).
    pub(crate) edns: Option<Edns<'m>>,
    /// What is asked, or what is said to a message that asks nothing.
    pub(crate) question: Result<Question<'m>, Rcode>,
}

impl<'m> Query<'m> {
    /// Parses a message. Nothing is allocated, and no name is followed. `None` if it is too short
    /// for a header, or itself a response: an answer could start a quarrel between two servers.
    pub(crate) fn parse(message: &'m [u8]) -> Option<Self> {
        let (header, _) = message.split_first_chunk::<HEADER_SIZE>()?;
        if header[2] & 0x80 != 0 {
            return None;
        }
        let mut body = Body::new(header, message);
        let well_formed = body.parse().is_some();
        let asks_cookie = body.edns.is_some_and(|edns| edns.options.cookie.is_some());
        let question = match (body.question, body.question_count) {
            // What stands in messages of other opcodes is not ours to judge.
            _ if header[2] & 0x78 != 0 => Err(Rcode::NotImp),
            _ if !well_formed => Err(Rcode::FormErr),
            (Some(question), 1) => Ok(question),
            // RFC 7873, section 5.4: a cookie is all that is wanted.
            (_, 0) if asks_cookie => Err(Rcode::NoError),
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

struct Body<'m> {
    message: &'m [u8],
    /// Where the next part of it begins.
    at: usize,
    question_count: u16,
    /// Answers and authorities, which say nothing to this server, but must be there.
    other_count: u32,
    additional_count: u16,
    /// The first question.
    question: Option<Question<'m>>,
    edns: Option<Edns<'m>>,
}

impl<'m> Body<'m> {
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

    /// Reads all of it, or as far as it can be read.
    fn parse(&mut self) -> Option<()> {
        for nth in 0..self.question_count {
            let question = Question::parse(self.message.get(self.at..)?);
            match (nth, question) {
                (0, Some(question)) => {
                    self.at += question.wire().len();
                    self.question = Some(question);
                }
                // More than one is refused, but an OPT may stand behind them.
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
        // There is one at most, and the root owns it (RFC 6891, section 6.1.1).
        let is_duplicate = self.edns.is_some();
        let edns = self.edns.get_or_insert_with(|| Edns::new(fixed));
        if is_duplicate || self.message[name_at] != 0 {
            return None;
        }
        edns.options = Options::parse(data)?;
        Some(())
    }

    /// Moves behind the name that comes next. A compressed name ends in a pointer, which is not
    /// followed.
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

    /// Moves behind the rest of a record, whose name ends here, and gives that rest.
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
