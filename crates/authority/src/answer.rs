//! Answers, and the record sets they are made of.

use std::sync::Arc;

use hickory_proto::rr::{Name, RData, Record, RecordType, rdata::HINFO};

/// How long a resolver may keep the stand-in that ANY gets, in seconds (RFC 8482, section 4.2).
const ANY_TTL_SECS: u32 = 3600;

/// The largest TTL, in seconds; one with the highest bit set counts as 0 (RFC 2181, section 8).
const TTL_SECS_MAX: u32 = i32::MAX as u32;

/// What an authoritative server says to a question. A failure to read records is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The records asked for, after the aliases that lead to them; or aliases that lead out of the
    /// zone, from where the resolver goes on by itself.
    Records(Vec<Record>),
    /// The name exists, or names below it do, but not with this type (RFC 2308, section 2.2).
    NoData {
        /// The aliases that lead to the name.
        aliases: Vec<Record>,
        /// For how long this may be cached.
        soa: Arc<Record>,
    },
    /// Neither the name nor any name below it exists (RFC 2308, section 2.1; RFC 8020).
    NoSuchName {
        /// The aliases that lead to the name (RFC 6604, section 3).
        aliases: Vec<Record>,
        /// For how long this may be cached.
        soa: Arc<Record>,
    },
    /// The question is not one for this server.
    Refused,
}

impl Answer {
    /// The answer section.
    pub fn records(&self) -> &[Record] {
        match self {
            Self::Records(records) => records,
            Self::NoData { aliases, .. } | Self::NoSuchName { aliases, .. } => aliases,
            Self::Refused => &[],
        }
    }

    /// The authority section of a negative answer.
    pub fn soa(&self) -> Option<&Record> {
        match self {
            Self::NoData { soa, .. } | Self::NoSuchName { soa, .. } => Some(soa),
            Self::Records(_) | Self::Refused => None,
        }
    }

    /// How long all of the answer may be cached, in seconds; `None` when it may not be.
    pub fn ttl_secs_min(&self) -> Option<u32> {
        let records = self.records().iter().chain(self.soa());
        records.map(|record| record.ttl).min()
    }
}

/// The set of this type among the records at a name: without duplicates, with `owner` for its name
/// and one TTL, the smallest (RFC 2181, section 5). Empty when there is none.
pub(crate) fn record_set<'a>(
    records: impl Iterator<Item = &'a Record>,
    record_type: RecordType,
    owner: &Name,
) -> Vec<Record> {
    let mut set: Vec<Record> = Vec::new();
    for record in records.filter(|record| record.record_type() == record_type) {
        if !set.iter().any(|other| other.data == record.data) {
            let ttl = Some(record.ttl).filter(|ttl| *ttl <= TTL_SECS_MAX);
            let ttl = ttl.unwrap_or_default();
            set.push(Record::from_rdata(owner.clone(), ttl, record.data.clone()));
        }
    }
    if let Some(ttl) = set.iter().map(|record| record.ttl).min() {
        set.iter_mut().for_each(|record| record.ttl = ttl);
    }
    set
}

/// What ANY gets where there are records: few bytes, whatever was published there.
pub(crate) fn any_stand_in(owner: &Name) -> Vec<Record> {
    let hinfo = HINFO::new("RFC8482".to_owned(), String::new());
    let record = Record::from_rdata(owner.clone(), ANY_TTL_SECS, RData::HINFO(hinfo));
    vec![record]
}
