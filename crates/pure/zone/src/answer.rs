//! The answer to a question: record sets that are not written yet.

use crate::{Question, record_set::RecordSet, writer::Writer};

/// The answer of an authoritative server to a question. A failure to read records is not an answer.
///
/// The record sets are still in the bytes of packets and zones: nothing is copied before
/// [`write`](Self::write), and an answer without aliases and additional records allocates nothing.
#[derive(Debug, Clone)]
pub struct Answer<'a> {
    pub(crate) kind: AnswerKind,
    pub(crate) origin_index: Option<usize>,
    /// The aliases from the name in the question to the name that the rest of the answer is for.
    pub(crate) aliases: Vec<RecordSet<'a>>,
    pub(crate) records: Option<RecordSet<'a>>,
    /// The SOA of a negative answer, the servers of a referral.
    pub(crate) authority: Option<RecordSet<'a>>,
    /// The addresses of hosts in the answer. The first [`glue_count`](Self::glue_count) sets are
    /// glue: the referral is useless without them.
    pub(crate) additionals: Vec<RecordSet<'a>>,
    /// How many sets are addresses of servers that can only be found through the cut itself
    /// (RFC 9471, section 2.1).
    pub(crate) glue_count: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerKind {
    /// The requested records, after the aliases that lead to them; or only aliases that lead out of
    /// the zone, whose target the resolver looks up itself.
    Records,
    /// The name or one below it exists, but not with this type (RFC 2308, section 2.2).
    NoData,
    /// Neither the name nor any name below it exists (RFC 2308, section 2.1; RFC 8020).
    NxDomain,
    /// The name that a DNAME substitution makes is too long (RFC 6672, section 2.2).
    YxDomain,
    /// The servers of a zone cut have the answer (RFC 1034, section 4.3.2, step 3b).
    Referral,
    /// This server has no zone for the question.
    Refused,
}

/// Which part of an answer was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WriteSummary {
    /// How many records each section has: answer, authority, additional.
    pub counts: [u16; 3],
    /// Whether all required records were written. If not, the response is truncated (RFC 2181,
    /// section 9; RFC 9471, section 3.1).
    pub is_complete: bool,
}

impl<'a> Answer<'a> {
    pub(crate) fn empty(kind: AnswerKind, origin_index: Option<usize>) -> Self {
        Self {
            kind,
            origin_index,
            aliases: Vec::new(),
            records: None,
            authority: None,
            additionals: Vec::new(),
            glue_count: 0,
        }
    }

    pub fn kind(&self) -> AnswerKind {
        self.kind
    }

    /// The index in [`Authority::origins`](crate::Authority::origins) of the origin of the name.
    pub fn origin_index(&self) -> Option<usize> {
        self.origin_index
    }

    /// Whether this server is authoritative for the first name of the answer (RFC 1035, section
    /// 4.1.1): it is for its own data and their absence, and so for aliases that lead to a
    /// referral. It is not for a plain referral or REFUSED.
    pub fn is_authoritative(&self) -> bool {
        match self.kind {
            AnswerKind::Referral => !self.aliases.is_empty(),
            AnswerKind::Refused => false,
            _ => true,
        }
    }

    /// How long the answer may be cached, in seconds; `None` if it may not be. Additional records
    /// do not count (RFC 8484, section 5.1).
    pub fn ttl_secs_min(&self) -> Option<u32> {
        let sets = self.answers().chain(&self.authority);
        sets.map(|set| set.ttl_secs).min()
    }

    fn answers(&self) -> impl Iterator<Item = &RecordSet<'a>> {
        self.aliases.iter().chain(&self.records)
    }

    /// Appends the records to a response in `out`, which must hold its header and
    /// [`Question::wire`], and nothing else. Afterwards `out` has at most `size_max` bytes: each
    /// record set is written completely or not at all, up to the first that does not fit.
    pub fn write(
        &self,
        question: &Question<'_>,
        size_max: usize,
        out: &mut Vec<u8>,
    ) -> WriteSummary {
        let (glue, additionals) = self.additionals.split_at(self.glue_count);
        let mut writer = Writer::new(question, size_max, out);
        let mut counts = [0; 3];
        let is_complete = writer.write_all(self.answers(), &mut counts[0])
            && writer.write_all(&self.authority, &mut counts[1])
            && writer.write_all(glue, &mut counts[2]);
        if is_complete {
            // Clients can query for additional records that do not fit.
            writer.write_all(additionals, &mut counts[2]);
        }
        WriteSummary {
            counts,
            is_complete,
        }
    }
}
