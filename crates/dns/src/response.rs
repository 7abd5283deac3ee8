//! Responses, to bytes.

use hickory_proto::rr::RecordType;
use quorate_authority::{Answer, AnswerKind, Question, Written};
use quorate_packet::message::HEADER_SIZE;

use crate::{
    query::{Edns, Header, Query},
    rcode::Rcode,
};

/// The largest datagram that is sent, and that we say to take, in bytes: what passes every network
/// without being cut to pieces (RFC 9715, section 3.2).
pub const UDP_SIZE_MAX: u16 = 1232;

/// The largest datagram for clients that say nothing about it, in bytes (RFC 1035, section 2.3.4).
pub(crate) const UDP_SIZE_MIN: u16 = 512;

/// The size of an OPT record without options, in bytes.
const OPT_SIZE: u16 = 11;

/// The bits of a response's third byte.
const QR: u8 = 0x80;
const AA: u8 = 0x04;
const TC: u8 = 0x02;

/// A response that is not written yet.
pub(crate) struct Response<'a> {
    header: Header,
    /// Repeated in the client's own letter case (RFC 4343).
    question: Option<&'a Question<'a>>,
    edns: Option<Edns>,
    pub(crate) rcode: Rcode,
    authoritative: bool,
    answer: Option<&'a Answer<'a>>,
}

impl<'a> Response<'a> {
    /// A header alone: what is left to say when the rest of the query means nothing.
    pub(crate) fn rejection(header: Header, rcode: Rcode) -> Self {
        Self {
            header,
            question: None,
            edns: None,
            rcode,
            authoritative: false,
            answer: None,
        }
    }

    /// A response that has no records.
    pub(crate) fn empty(query: &'a Query<'a>, rcode: Rcode) -> Self {
        Self {
            question: Some(&query.question),
            edns: query.edns,
            ..Self::rejection(query.header, rcode)
        }
    }

    /// An answer.
    pub(crate) fn answer(query: &'a Query<'a>, answer: &'a Answer<'a>) -> Self {
        let rcode = match answer.kind() {
            AnswerKind::Records | AnswerKind::NoData | AnswerKind::Referral => Rcode::NoError,
            AnswerKind::NxDomain => Rcode::NxDomain,
            AnswerKind::YxDomain => Rcode::YxDomain,
            AnswerKind::Refused => Rcode::Refused,
        };
        Self {
            authoritative: answer.is_authoritative(),
            answer: Some(answer),
            ..Self::empty(query, rcode)
        }
    }

    /// Writes a response that has no records.
    pub(crate) fn write_empty(&self, out: &mut Vec<u8>) {
        self.write(UDP_SIZE_MIN, out);
    }

    /// Writes at most `size_max` bytes in place of what `out` holds, and says whether all of the
    /// response had room.
    pub(crate) fn write(&self, size_max: u16, out: &mut Vec<u8>) -> bool {
        out.clear();
        out.extend_from_slice(&[0; HEADER_SIZE]);
        let mut written = Written {
            is_complete: true,
            ..Written::default()
        };
        if let Some(question) = self.question {
            out.extend_from_slice(question.wire());
            if let Some(answer) = self.answer {
                let size_max = size_max - self.edns.map_or(0, |_| OPT_SIZE);
                written = answer.write(question, size_max.into(), out);
            }
        }
        if let Some(edns) = self.edns {
            out.extend_from_slice(&opt(edns, self.rcode));
            written.counts[2] += 1;
        }
        let aa = if self.authoritative { AA } else { 0 };
        let tc = if written.is_complete { 0 } else { TC };
        out[..2].copy_from_slice(&self.header.id);
        out[2] = QR | self.header.opcode_and_rd | aa | tc;
        out[3] = self.header.cd | (self.rcode as u8 & 0x0f);
        let question_count = u16::from(self.question.is_some());
        let counts = std::iter::once(question_count).chain(written.counts);
        for (at, count) in counts.enumerate() {
            out[4 + 2 * at..][..2].copy_from_slice(&count.to_be_bytes());
        }
        written.is_complete
    }
}

/// Our OPT record: the root's name, type, our size, the high bits of the response code (RFC 6891,
/// section 6.1.3), version 0, flags, and no options.
fn opt(edns: Edns, rcode: Rcode) -> [u8; OPT_SIZE as usize] {
    let mut opt = [0; OPT_SIZE as usize];
    opt[1..3].copy_from_slice(&u16::from(RecordType::OPT).to_be_bytes());
    opt[3..5].copy_from_slice(&UDP_SIZE_MAX.to_be_bytes());
    opt[5] = rcode as u8 >> 4;
    opt[7] = u8::from(edns.dnssec_ok) << 7;
    opt
}
