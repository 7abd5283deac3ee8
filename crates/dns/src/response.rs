//! Responses, to bytes.

use hickory_proto::{
    ProtoError, op,
    rr::{Record, RecordType},
    serialize::binary::{BinEncodable, BinEncoder},
};
use quorate_authority::Answer;
use quorate_packet::message::HEADER_SIZE;

use crate::{
    code::Code,
    query::{Edns, Head, Query},
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

/// How many entries each section has.
#[derive(Default)]
struct Counts {
    questions: u16,
    answers: u16,
    authorities: u16,
    additionals: u16,
}

/// Writes the header alone: what is left to say when the rest of the query means nothing.
pub(crate) fn write_rejection(head: Head, code: Code, out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(&header(head, code, 0, &Counts::default()));
}

/// Writes a response that has no records.
pub(crate) fn write_empty(query: &Query, code: Code, out: &mut Vec<u8>) {
    out.clear();
    let mut counts = Counts::default();
    let mut encoder = BinEncoder::new(out);
    let question = emit_question(&mut encoder, &query.question);
    question.expect("a question that was read has room in any message");
    counts.questions = 1;
    finish(query, code, 0, counts, out);
}

/// Writes an answer of at most `size_max` bytes, and says whether it had to leave something out.
pub(crate) fn write_answer(
    query: &Query,
    answer: &Answer,
    size_max: u16,
    out: &mut Vec<u8>,
) -> Result<bool, ProtoError> {
    out.clear();
    let mut encoder = BinEncoder::new(out);
    encoder.set_max_size(size_max - query.edns.map_or(0, |_| OPT_SIZE));
    emit_question(&mut encoder, &query.question)?;
    let mut counts = Counts {
        questions: 1,
        ..Counts::default()
    };
    let sections = [
        (answer.records(), &mut counts.answers),
        (answer.authorities(), &mut counts.authorities),
        // Glue that is missing counts (RFC 9471, section 3.1), and there are no other additionals.
        (answer.additionals(), &mut counts.additionals),
    ];
    let mut complete = true;
    for (records, count) in sections {
        for set in records.chunk_by(is_same_set) {
            complete = complete && emit_set(&mut encoder, set, count)?;
        }
    }
    let mut bits = 0;
    if answer.is_authoritative() {
        bits |= AA;
    }
    if !complete {
        bits |= TC;
    }
    finish(query, code(answer), bits, counts, out);
    Ok(!complete)
}

/// The code of an answer.
pub(crate) fn code(answer: &Answer) -> Code {
    match answer {
        Answer::Records(_) | Answer::NoData { .. } | Answer::Referral { .. } => Code::NoError,
        Answer::NoSuchName { .. } => Code::NxDomain,
        Answer::Refused => Code::Refused,
    }
}

fn is_same_set(a: &Record, b: &Record) -> bool {
    a.record_type() == b.record_type() && a.name == b.name
}

/// Leaves room for the header and repeats the question, in the client's own letter case (RFC 4343).
fn emit_question(encoder: &mut BinEncoder<'_>, question: &op::Query) -> Result<(), ProtoError> {
    encoder.emit_vec(&[0; HEADER_SIZE])?;
    question.emit(encoder)
}

/// Emits all of a record set or nothing of it (RFC 2181, section 9). False when it does not fit.
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

/// Adds the OPT record, if the query had one, and fills in the header.
fn finish(query: &Query, code: Code, bits: u8, mut counts: Counts, out: &mut Vec<u8>) {
    if let Some(edns) = query.edns {
        out.extend_from_slice(&opt(edns, code));
        counts.additionals += 1;
    }
    out[..HEADER_SIZE].copy_from_slice(&header(query.head, code, bits, &counts));
}

fn header(head: Head, code: Code, bits: u8, counts: &Counts) -> [u8; HEADER_SIZE] {
    let mut header = [0; HEADER_SIZE];
    header[..2].copy_from_slice(&head.id);
    header[2] = QR | head.opcode_and_rd | bits;
    header[3] = head.cd | (code.number() & 0x0f) as u8;
    let counts = [
        counts.questions,
        counts.answers,
        counts.authorities,
        counts.additionals,
    ];
    for (at, count) in counts.into_iter().enumerate() {
        header[4 + 2 * at..][..2].copy_from_slice(&count.to_be_bytes());
    }
    header
}

/// Our OPT record: the root's name, type, our size, the high bits of the code, version 0, flags,
/// and no options.
fn opt(edns: Edns, code: Code) -> [u8; OPT_SIZE as usize] {
    let mut opt = [0; OPT_SIZE as usize];
    opt[1..3].copy_from_slice(&u16::from(RecordType::OPT).to_be_bytes());
    opt[3..5].copy_from_slice(&UDP_SIZE_MAX.to_be_bytes());
    opt[5] = (code.number() >> 4) as u8;
    opt[7] = u8::from(edns.dnssec_ok) << 7;
    opt
}
