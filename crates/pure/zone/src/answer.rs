//! Answers.

use crate::{Question, record_set::RecordSet, writer::Writer};

/// What an authoritative server says to a question. A failure to read records is no answer.
///
/// It is a value of record sets that are still in the bytes of packets and zones: nothing is copied
/// before [`write`](Self::write), and an answer without aliases and additional records takes no
/// memory.
#[derive(Debug, Clone)]
pub struct Answer<'a> {
    pub(crate) kind: AnswerKind,
    pub(crate) origin_index: Option<usize>,
    /// The aliases that lead to the name that the rest is about.
    pub(crate) aliases: Vec<RecordSet<'a>>,
    pub(crate) records: Option<RecordSet<'a>>,
    /// The SOA of a negative answer, the servers of a referral.
    pub(crate) authority: Option<RecordSet<'a>>,
    /// The addresses of hosts in the answer: first [`glue_count`](Self::glue_count) sets that a
    /// referral is useless without.
    pub(crate) additionals: Vec<RecordSet<'a>>,
    /// How many sets are the addresses of servers that cannot be found but through the cut itself
    /// (RFC 9471, section 2.1).
    pub(crate) glue_count: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerKind {
    /// The records asked for, after the aliases that lead to them; or aliases that lead out of the
    /// zone, from where the resolver goes on by itself.
    Records,
    /// The name exists, or names below it do, but not with this type (RFC 2308, section 2.2).
    NoData,
    /// Neither the name nor any name below it exists (RFC 2308, section 2.1; RFC 8020).
    NxDomain,
    /// The name that a DNAME leads to is too long to be one (RFC 6672, section 2.2).
    YxDomain,
    /// Other servers know: those that a zone cut names (RFC 1034, section 4.3.2, step 3b).
    Referral,
    /// The question is not one for this server.
    Refused,
}

/// What of an answer was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Written {
    /// How many records each section has: answer, authority, additional.
    pub counts: [u16; 3],
    /// Whether all records that count are there. If not, the response is truncated (RFC 2181,
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

    /// Which of [`Authority::origins`](crate::Authority::origins) answers, if any has the name.
    pub fn origin_index(&self) -> Option<usize> {
        self.origin_index
    }

    /// Whether this server is an authority for the first name of the answer (RFC 1035, section
    /// 4.1.1): for its own data and their absence, and so for aliases that lead to a referral; for
    /// a mere referral or refusal it is none.
    pub fn is_authoritative(&self) -> bool {
        match self.kind {
            AnswerKind::Referral => !self.aliases.is_empty(),
            AnswerKind::Refused => false,
            _ => true,
        }
    }

    /// How long the answer may be cached, in seconds; `None` when it may not be. Additional records
    /// have no say (RFC 8484, section 5.1).
    pub fn ttl_secs_min(&self) -> Option<u32> {
        let sets = self.answers().chain(&self.authority);
        sets.map(|set| set.ttl_secs).min()
    }

    fn answers(&self) -> impl Iterator<Item = &RecordSet<'a>> {
        self.aliases.iter().chain(&self.records)
    }

    /// Appends the records to a response in `out`, which holds its header and
    /// [`Question::wire`], and nothing else. In the end `out` has at most `size_max` bytes: all of a
    /// record set is written or nothing of it, and nothing behind the first that does not fit.
    pub fn write(&self, question: &Question<'_>, size_max: usize, out: &mut Vec<u8>) -> Written {
        let (glue, additionals) = self.additionals.split_at(self.glue_count);
        let mut writer = Writer::new(question, size_max, out);
        let mut counts = [0; 3];
        let is_complete = writer.write_all(self.answers(), &mut counts[0])
            && writer.write_all(&self.authority, &mut counts[1])
            && writer.write_all(glue, &mut counts[2]);
        if is_complete {
            // What is left out of these can be asked for.
            writer.write_all(additionals, &mut counts[2]);
        }
        Written {
            counts,
            is_complete,
        }
    }
}
