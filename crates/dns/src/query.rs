//! Queries, from bytes that anybody may have sent.

use hickory_proto::rr::RecordType;
use quorate_authority::Question;
use quorate_packet::message::{self, HEADER_SIZE};

use crate::rcode::Rcode;

/// The largest query that is read, in bytes. A question takes at most 271; the rest is room for
/// options such as padding to blocks of 128 (RFC 8467).
pub const QUERY_SIZE_MAX: usize = 4096;

/// The longest name on the wire, in bytes (RFC 1035, section 2.3.4).
const NAME_SIZE_MAX: usize = 255;

/// What follows the name of a record, before its data: type, class, TTL and length.
const RECORD_FIXED_SIZE: usize = 10;

/// What of a query's header returns in the response: its id, opcode, and the bits RD and CD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) id: [u8; 2],
    /// Opcode and RD, at their places in the third byte.
    pub(crate) opcode_and_rd: u8,
    /// CD, at its place in the fourth byte (RFC 4035, section 3.1.6).
    pub(crate) cd: u8,
}

/// The client's OPT record (RFC 6891, section 6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Edns {
    /// The largest datagram that the client takes, in bytes.
    pub(crate) udp_size: u16,
    pub(crate) version: u8,
    /// The bit DO, which the response repeats (RFC 3225, section 3).
    pub(crate) dnssec_ok: bool,
}

/// A well-formed query of opcode QUERY.
#[derive(Debug)]
pub(crate) struct Query<'m> {
    pub(crate) header: Header,
    pub(crate) question: Question<'m>,
    pub(crate) edns: Option<Edns>,
}

/// Why a message is not a query to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ParseError {
    /// Too short for a header, or itself a response: an answer could start a quarrel between two
    /// servers.
    NotAQuery,
    /// To be answered with this response code, and no more than the header.
    Rejected(Header, Rcode),
}

impl<'m> Query<'m> {
    /// Parses a message.
    pub(crate) fn parse(message: &'m [u8]) -> Result<Self, ParseError> {
        let Some((bytes, _)) = message.split_first_chunk::<HEADER_SIZE>() else {
            return Err(ParseError::NotAQuery);
        };
        if bytes[2] & 0x80 != 0 {
            return Err(ParseError::NotAQuery);
        }
        let header = Header {
            id: [bytes[0], bytes[1]],
            opcode_and_rd: bytes[2] & 0x79,
            cd: bytes[3] & 0x10,
        };
        if bytes[2] & 0x78 != 0 {
            return Err(ParseError::Rejected(header, Rcode::NotImp));
        }
        let malformed = ParseError::Rejected(header, Rcode::FormErr);
        if !message::counts_fit(message) {
            return Err(malformed);
        }
        let (question, edns) = parse_body(bytes, message).ok_or(malformed)?;
        Ok(Self {
            header,
            question,
            edns,
        })
    }
}

/// Reads what follows the header: one question (RFC 9619) and perhaps one OPT. Other records say
/// nothing to this server, but must be there.
fn parse_body<'m>(
    header: &[u8; HEADER_SIZE],
    message: &'m [u8],
) -> Option<(Question<'m>, Option<Edns>)> {
    let count = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    if count(4) != 1 {
        return None;
    }
    let question = Question::parse(&message[HEADER_SIZE..])?;
    let mut at = HEADER_SIZE + question.wire().len();
    let mut edns = None;
    for _ in 0..u32::from(count(6)) + u32::from(count(8)) {
        skip_name(message, &mut at)?;
        skip_fixed(message, &mut at)?;
    }
    for _ in 0..count(10) {
        let name_at = at;
        skip_name(message, &mut at)?;
        let (fixed, data) = skip_fixed(message, &mut at)?;
        if u16::from_be_bytes([fixed[0], fixed[1]]) != u16::from(RecordType::OPT) {
            continue;
        }
        if message[name_at] != 0 || edns.is_some() || !are_options(data) {
            return None;
        }
        edns = Some(Edns {
            udp_size: u16::from_be_bytes([fixed[2], fixed[3]]),
            version: fixed[5],
            dnssec_ok: fixed[6] & 0x80 != 0,
        });
    }
    (at == message.len()).then_some((question, edns))
}

/// Moves `at` behind the name there. A compressed name ends in a pointer, which is not followed.
fn skip_name(message: &[u8], at: &mut usize) -> Option<()> {
    let start = *at;
    loop {
        let len = usize::from(*message.get(*at)?);
        match len {
            0 => {
                *at += 1;
                return (*at - start <= NAME_SIZE_MAX).then_some(());
            }
            1..=63 => *at += 1 + len,
            0xc0.. => {
                *at += 2;
                return (*at <= message.len()).then_some(());
            }
            _ => return None,
        }
    }
}

/// Moves `at` behind the rest of a record, whose name ends there, and gives that rest.
fn skip_fixed<'m>(
    message: &'m [u8],
    at: &mut usize,
) -> Option<(&'m [u8; RECORD_FIXED_SIZE], &'m [u8])> {
    let (fixed, rest) = message
        .get(*at..)?
        .split_first_chunk::<RECORD_FIXED_SIZE>()?;
    let data = rest.get(..usize::from(u16::from_be_bytes([fixed[8], fixed[9]])))?;
    *at += RECORD_FIXED_SIZE + data.len();
    Some((fixed, data))
}

/// Whether these are whole options: code, length, data, each (RFC 6891, section 6.1.2). What they
/// say is ignored.
fn are_options(mut data: &[u8]) -> bool {
    while let Some(([_, _, high, low], rest)) = data.split_first_chunk() {
        let Some(rest) = rest.get(usize::from(u16::from_be_bytes([*high, *low]))..) else {
            return false;
        };
        data = rest;
    }
    data.is_empty()
}

#[cfg(test)]
#[path = "query_tests.rs"]
mod tests;
