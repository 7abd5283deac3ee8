//! Record sets of an answer, before they are written.

use crate::{
    Question, name::Name, rdata::types, target::Target, tree::Set, zone::Zone, zone_data::ZoneData,
};

/// How long a resolver may keep the stand-in that ANY gets, in seconds.
const ANY_TTL_SECS: u32 = 3600;

/// The stand-in's data (RFC 8482, section 4.2): a CPU and no operating system.
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
    /// The name asked, or where the alias before in the answer leads, without its first labels.
    Followed {
        /// Whether it is still the name asked.
        is_asked: bool,
        skipped_label_count: u8,
    },
    /// A name in the data of another record.
    Named { name_at: u32, target: Target },
}

#[derive(Debug, Clone)]
pub(crate) enum Content<'a> {
    Set(ZoneData<'a>, Set),
    /// An alias made of a DNAME (RFC 6672, section 3.1).
    Alias(ZoneData<'a>, Box<Name>),
    /// A stand-in of few bytes for whatever there is (RFC 8482, section 4.2).
    StandIn,
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

    /// The SOA of a negative answer to a question in this zone, with its TTL there (RFC 2308,
    /// section 5).
    pub(crate) fn soa(zone: &'a Zone, question: &Question<'_>) -> Self {
        let below = question.name_ref().label_count() - zone.label_count();
        Self {
            owner: Owner::Followed {
                is_asked: true,
                skipped_label_count: below as u8,
            },
            record_type: types::SOA,
            ttl_secs: zone.negative_ttl_secs,
            content: Content::Set(ZoneData::of_origin(zone), zone.soa),
        }
    }

    /// Whether it is this set of its zone.
    pub(crate) fn is_of(&self, set: Set) -> bool {
        matches!(self.content, Content::Set(_, of_zone) if of_zone == set)
    }

    pub(crate) fn alias(owner: Owner, ttl_secs: u32, data: ZoneData<'a>, target: Name) -> Self {
        Self {
            owner,
            record_type: types::CNAME,
            ttl_secs,
            content: Content::Alias(data, Box::new(target)),
        }
    }

    pub(crate) fn stand_in(owner: Owner) -> Self {
        Self {
            owner,
            record_type: types::HINFO,
            ttl_secs: ANY_TTL_SECS,
            content: Content::StandIn,
        }
    }
}
