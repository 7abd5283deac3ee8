//! The record sets of an answer, before they are written.

use crate::{
    Question, name::Name, rdata::types, target::Target, tree::Set, zone::Zone, zone_data::ZoneData,
};

/// How long a resolver may cache the synthesized answer to ANY, in seconds.
const ANY_TTL_SECS: u32 = 3600;

/// The HINFO data of that answer (RFC 8482, section 4.2): a CPU and no operating system.
pub(crate) const ANY_RDATA: &[u8] = b"\x07RFC8482\0";

/// A record set: one owner, one type, one TTL.
#[derive(Debug, Clone)]
pub(crate) struct RecordSet<'a> {
    pub(crate) owner: Owner,
    pub(crate) record_type: u16,
    pub(crate) ttl_secs: u32,
    pub(crate) content: Content<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The name in the question, or the target of the previous alias in the answer, without its
    /// first labels.
    CurrentName {
        /// Whether it is the name in the question.
        is_question_name: bool,
        skipped_label_count: u8,
    },
    /// A name in the data of another record.
    InRdata { name_at: u32, target: Target },
}

#[derive(Debug, Clone)]
pub(crate) enum Content<'a> {
    Set(ZoneData<'a>, Set),
    /// A CNAME that was synthesized from a DNAME (RFC 6672, section 3.1).
    SynthesizedCname(ZoneData<'a>, Box<Name>),
    /// A small HINFO in place of all records of the name (RFC 8482, section 4.2).
    SynthesizedHinfo,
}

impl<'a> RecordSet<'a> {
    pub(crate) fn new(owner: Owner, data: ZoneData<'a>, set: Set) -> Self {
        Self {
            owner,
            record_type: data.tree.record_type(set),
            ttl_secs: data.ttl_secs(set),
            content: Content::Set(data, set),
        }
    }

    /// The SOA of a negative answer to a question in this zone, with its negative TTL (RFC 2308,
    /// section 5).
    pub(crate) fn soa(zone: &'a Zone, question: &Question<'_>) -> Self {
        let below = question.name_ref().label_count() - zone.label_count();
        Self {
            owner: Owner::CurrentName {
                is_question_name: true,
                skipped_label_count: below as u8,
            },
            record_type: types::SOA,
            ttl_secs: zone.negative_ttl_secs,
            content: Content::Set(ZoneData::of_origin(zone), zone.soa),
        }
    }

    /// Whether it is the set `set` of its zone.
    pub(crate) fn is_of(&self, set: Set) -> bool {
        matches!(self.content, Content::Set(_, of_zone) if of_zone == set)
    }

    pub(crate) fn synthesized_cname(
        owner: Owner,
        ttl_secs: u32,
        data: ZoneData<'a>,
        target: Name,
    ) -> Self {
        Self {
            owner,
            record_type: types::CNAME,
            ttl_secs,
            content: Content::SynthesizedCname(data, Box::new(target)),
        }
    }

    pub(crate) fn synthesized_hinfo(owner: Owner) -> Self {
        Self {
            owner,
            record_type: types::HINFO,
            ttl_secs: ANY_TTL_SECS,
            content: Content::SynthesizedHinfo,
        }
    }
}
