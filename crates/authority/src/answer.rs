//! Answers, and the record sets they are made of.

use std::{slice, sync::Arc};

use hickory_proto::rr::{Name, RData, Record, RecordType, rdata::HINFO};

/// How long a resolver may keep the stand-in that ANY gets, in seconds.
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
    NxDomain {
        /// The aliases that lead to the name (RFC 6604, section 3).
        aliases: Vec<Record>,
        /// For how long this may be cached.
        soa: Arc<Record>,
    },
    /// Other servers know: those that a zone cut in the packet names (RFC 1034, section 4.3.2,
    /// step 3b).
    Referral {
        /// The aliases that lead to the name.
        aliases: Vec<Record>,
        /// Who knows: the NS records of the cut.
        servers: Vec<Record>,
        /// The addresses of those servers that cannot be found but through the cut itself
        /// (RFC 9471, section 2.1).
        glue: Vec<Record>,
    },
    /// The question is not one for this server.
    Refused,
}

impl Answer {
    /// The answer section.
    pub fn records(&self) -> &[Record] {
        match self {
            Self::Records(records) => records,
            Self::NoData { aliases, .. }
            | Self::NxDomain { aliases, .. }
            | Self::Referral { aliases, .. } => aliases,
            Self::Refused => &[],
        }
    }

    /// The authority section: the SOA of a negative answer, the servers of a referral.
    pub fn authorities(&self) -> &[Record] {
        match self {
            Self::NoData { soa, .. } | Self::NxDomain { soa, .. } => slice::from_ref(soa),
            Self::Referral { servers, .. } => servers,
            Self::Records(_) | Self::Refused => &[],
        }
    }

    /// The additional section.
    pub fn additionals(&self) -> &[Record] {
        match self {
            Self::Referral { glue, .. } => glue,
            _ => &[],
        }
    }

    /// Whether this server is an authority for the first name of the answer (RFC 1035, section
    /// 4.1.1): for its own data and their absence, and so for aliases that lead to a referral; for
    /// a mere referral or refusal it is none.
    pub fn is_authoritative(&self) -> bool {
        match self {
            Self::Records(_) | Self::NoData { .. } | Self::NxDomain { .. } => true,
            Self::Referral { aliases, .. } => !aliases.is_empty(),
            Self::Refused => false,
        }
    }

    /// How long the answer may be cached, in seconds; `None` when it may not be. Additional records
    /// have no say (RFC 8484, section 5.1).
    pub fn ttl_secs_min(&self) -> Option<u32> {
        let records = self.records().iter().chain(self.authorities());
        records.map(|record| record.ttl).min()
    }
}

/// The set of this type among the records at a name: without duplicates, with `owner` for its name
/// and one TTL, the smallest (RFC 2181, section 5). Empty when there is none. ANY gets a stand-in of
/// few bytes, whatever was published there (RFC 8482, section 4.2).
pub(crate) fn record_set<'a>(
    records: impl Iterator<Item = &'a Record>,
    record_type: RecordType,
    owner: &Name,
) -> Vec<Record> {
    if record_type == RecordType::ANY {
        let stand_in = RData::HINFO(HINFO::new("RFC8482".to_owned(), String::new()));
        let stand_in = |_| Record::from_rdata(owner.clone(), ANY_TTL_SECS, stand_in.clone());
        return records.take(1).map(stand_in).collect();
    }
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
