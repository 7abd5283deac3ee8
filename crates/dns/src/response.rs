//! Responses, to bytes.

use hickory_proto::{
    ProtoError, op,
    rr::{Record, RecordType},
    serialize::binary::{BinEncodable, BinEncoder},
};
use quorate_authority::Answer;
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
    question: Option<&'a op::Query>,
    edns: Option<Edns>,
    pub(crate) rcode: Rcode,
    authoritative: bool,
    /// Answers, authorities, additionals.
    sections: [&'a [Record]; 3],
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
            sections: [&[]; 3],
        }
    }

    /// A response that has no records.
    pub(crate) fn empty(query: &'a Query, rcode: Rcode) -> Self {
        Self {
            question: Some(&query.question),
            edns: query.edns,
            ..Self::rejection(query.header, rcode)
        }
    }

    /// An answer.
    pub(crate) fn answer(query: &'a Query, answer: &'a Answer) -> Self {
        let rcode = match answer {
            Answer::Records(_) | Answer::NoData { .. } | Answer::Referral { .. } => Rcode::NoError,
            Answer::NxDomain { .. } => Rcode::NxDomain,
            Answer::Refused => Rcode::Refused,
        };
        Self {
            authoritative: answer.is_authoritative(),
            sections: [
                answer.records(),
                answer.authorities(),
                // Glue that is missing counts (RFC 9471, section 3.1), and there are no other
                // additionals.
                answer.additionals(),
            ],
            ..Self::empty(query, rcode)
        }
    }

    /// Writes a response that has no records.
    pub(crate) fn write_empty(&self, out: &mut Vec<u8>) {
        self.write(UDP_SIZE_MIN, out)
            .expect("a question that was read has room in any message");
    }

    /// Writes at most `size_max` bytes in place of what `out` holds: all of a record set or nothing
    /// of it (RFC 2181, section 9), and nothing behind the first that does not fit. Says whether all
    /// of the response did.
    pub(crate) fn write(&self, size_max: u16, out: &mut Vec<u8>) -> Result<bool, ProtoError> {
        out.clear();
        let mut encoder = BinEncoder::new(out);
        encoder.set_max_size(size_max - self.edns.map_or(0, |_| OPT_SIZE));
        encoder.emit_vec(&[0; HEADER_SIZE])?;
        // Questions, answers, authorities, additionals.
        let mut counts = [0; 4];
        if let Some(question) = self.question {
            question.emit(&mut encoder)?;
            counts[0] = 1;
        }
        let mut complete = true;
        for (records, count) in self.sections.into_iter().zip(&mut counts[1..]) {
            for set in records.chunk_by(is_same_set) {
                complete = complete && emit_set(&mut encoder, set, count)?;
            }
        }
        if let Some(edns) = self.edns {
            out.extend_from_slice(&opt(edns, self.rcode));
            counts[3] += 1;
        }
        let aa = if self.authoritative { AA } else { 0 };
        let tc = if complete { 0 } else { TC };
        out[..2].copy_from_slice(&self.header.id);
        out[2] = QR | self.header.opcode_and_rd | aa | tc;
        out[3] = self.header.cd | (self.rcode as u8 & 0x0f);
        for (at, count) in counts.into_iter().enumerate() {
            out[4 + 2 * at..][..2].copy_from_slice(&count.to_be_bytes());
        }
        Ok(complete)
    }
}

fn is_same_set(a: &Record, b: &Record) -> bool {
    a.record_type() == b.record_type() && a.name == b.name
}

/// Emits all of a record set, or nothing of it and false if it does not fit.
fn emit_set(
    encoder: &mut BinEncoder<'_>,
    set: &[Record],
    count: &mut u16,
) -> Result<bool, ProtoError> {
    let start = encoder.offset();
    match encoder.emit_all(set.iter()) {
        Ok(emitted) => {
            *count += u16::try_from(emitted).expect("a message has room for fewer records");
            Ok(true)
        }
        Err(ProtoError::NotAllRecordsWritten { .. }) => {
            encoder.set_offset(start);
            encoder.trim();
            Ok(false)
        }
        Err(error) => Err(error),
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
