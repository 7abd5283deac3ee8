//! Writes responses in wire form.

use quorate_packet::message::HEADER_SIZE;
use quorate_zone::{Answer, Question, WriteSummary};

use crate::{
    extended_error::ExtendedError,
    opt::Opt,
    query::{Header, Query},
    rcode::Rcode,
};

/// The largest datagram for clients without EDNS, in bytes (RFC 1035, section 2.3.4). A header, a
/// question and an OPT record with all options fit in it.
pub(crate) const UDP_SIZE_MIN: u16 = 512;

/// The bits of a response's third byte.
const QR: u8 = 0x80;
const AA: u8 = 0x04;
const TC: u8 = 0x02;

/// The start of a TXT record in the class CH, up to the size of its data. Its owner is the
/// question's name, and its TTL is 0.
const CHAOS_TXT: [u8; 10] = [0xc0, HEADER_SIZE as u8, 0, 16, 0, 3, 0, 0, 0, 0];

/// A response that is not written yet: the parts that do not depend on the answer.
#[derive(Debug)]
pub(crate) struct Response<'a> {
    header: Header,
    /// The question in the client's own letter case (RFC 4343), if it could be parsed.
    question: Option<&'a Question<'a>>,
    /// The OPT record, for clients that support EDNS.
    pub(crate) opt: Option<Opt<'a>>,
    /// The largest size of the response, in bytes.
    size_max: usize,
    /// Whether that is less than the client accepts.
    pub(crate) is_limited: bool,
}

impl<'a> Response<'a> {
    /// A response to `query` without optional parts.
    pub(crate) fn new(query: &'a Query<'a>, size_max: usize) -> Self {
        Self {
            header: query.header,
            question: query.question.as_ref().ok(),
            opt: query.edns.map(|edns| Opt {
                dnssec_ok: edns.dnssec_ok,
                ..Opt::default()
            }),
            size_max,
            is_limited: false,
        }
    }

    /// Limits the size of the response, in bytes.
    pub(crate) fn limit(&mut self, size_max: usize) {
        self.is_limited = size_max < self.size_max;
        self.size_max = self.size_max.min(size_max);
    }

    /// Adds an extended error, for clients that support EDNS.
    pub(crate) fn explain(&mut self, error: ExtendedError) {
        if let Some(opt) = &mut self.opt {
            opt.extended_error = Some(error);
        }
    }

    /// Writes a response without records to `out`, and replaces its content.
    pub(crate) fn write_empty(&self, rcode: Rcode, out: &mut Vec<u8>) {
        self.begin(out);
        self.end(rcode, 0, [0; 3], out);
    }

    /// Writes a response without records that makes the client retry over TCP.
    pub(crate) fn write_truncated(&self, out: &mut Vec<u8>) {
        self.begin(out);
        self.end(Rcode::NoError, TC, [0; 3], out);
    }

    /// Writes the answer to the question: each record set completely or not at all (RFC 2181,
    /// section 9), up to the first that does not fit. Returns whether all required records fit.
    pub(crate) fn write_answer(
        &self,
        question: &Question<'_>,
        answer: &Answer<'_>,
        out: &mut Vec<u8>,
    ) -> bool {
        self.begin(out);
        let opt_size = self.opt.as_ref().map_or(0, Opt::size);
        let WriteSummary {
            counts,
            is_complete,
        } = answer.write(question, self.size_max - opt_size, out);
        let aa = if answer.is_authoritative() { AA } else { 0 };
        let tc = if is_complete { 0 } else { TC };
        self.end(answer.kind().into(), aa | tc, counts, out);
        is_complete
    }

    /// Writes a text of at most 255 bytes in the class CH.
    pub(crate) fn write_chaos(&self, text: &str, out: &mut Vec<u8>) {
        self.begin(out);
        let text_size = text.len().min(u8::MAX.into()) as u8;
        out.extend_from_slice(&CHAOS_TXT);
        out.extend_from_slice(&(u16::from(text_size) + 1).to_be_bytes());
        out.push(text_size);
        out.extend_from_slice(&text.as_bytes()[..text_size.into()]);
        self.end(Rcode::NoError, AA, [1, 0, 0], out);
    }

    fn begin(&self, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(&[0; HEADER_SIZE]);
        if let Some(question) = self.question {
            out.extend_from_slice(question.wire());
        }
    }

    /// Writes the OPT record and the header. `counts` are the numbers of answer, authority and
    /// additional records.
    fn end(&self, rcode: Rcode, bits: u8, mut counts: [u16; 3], out: &mut Vec<u8>) {
        if let Some(opt) = &self.opt {
            opt.write(rcode, self.size_max, out);
            counts[2] += 1;
        }
        out[..2].copy_from_slice(&self.header.id);
        out[2] = QR | self.header.opcode_and_rd | bits;
        out[3] = self.header.cd | (rcode as u8 & 0x0f);
        out[5] = self.question.is_some().into();
        for (at, count) in counts.into_iter().enumerate() {
            out[6 + 2 * at..][..2].copy_from_slice(&count.to_be_bytes());
        }
    }
}
