//! The configuration of an origin, and its checks.

use quorate_state::{NamedSet, RecordSets, WireName, ZoneRejection, check_owner, check_together};

use crate::rdata::types;

/// The longest time that NXDOMAIN may be cached, in seconds. An endpoint that a client looked up
/// before it published stays invisible for this long.
pub const NEGATIVE_TTL_SECS_MAX: u32 = 60;

/// A name under which all keys have their zones, and the configured records of its own zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The name; the root makes keys top-level domains.
    pub name: WireName,
    pub soa: Soa,
    /// The TTL of the start of authority, in seconds.
    pub soa_ttl_secs: u32,
    /// All other records, at the name itself and below it, but not at or below a key. They may
    /// include aliases, wildcards, cuts and DNAMEs.
    pub sets: RecordSets,
    /// The smallest TTL that records of packets are served with, in seconds.
    pub ttl_secs_min: u32,
    /// The largest TTL that records of packets are served with, in seconds.
    pub ttl_secs_max: u32,
    /// Whether a key without a packet may have one in the DHT.
    pub dht: bool,
}

/// The start of authority (RFC 1035, section 3.3.13). All times are in seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Soa {
    pub mname: WireName,
    /// The mailbox of the person in charge, as a name.
    pub rname: WireName,
    /// The version of the zone.
    pub serial: u32,
    /// How often a secondary asks for a new version.
    pub refresh_secs: u32,
    /// How long it waits before it retries after a failure.
    pub retry_secs: u32,
    /// How long it answers without contact to the primary.
    pub expire_secs: u32,
    /// How long a negative answer may be cached (RFC 2308, section 4), but never longer than
    /// [`NEGATIVE_TTL_SECS_MAX`].
    pub minimum_secs: u32,
}

/// Why origins cannot be served. Names are absolute, in presentation form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    #[error("origin {0} is configured twice: merge the two")]
    Duplicate(WireName),
    #[error("no origin {0} is configured")]
    Unknown(WireName),
    /// It has records that are not allowed there.
    #[error("origin {origin}: {reason}")]
    Records {
        origin: WireName,
        reason: ZoneRejection,
    },
    /// A record cannot be written in wire form.
    #[error(
        "a record of type {record_type} at {owner} of origin {origin} cannot be encoded: check its data"
    )]
    Unencodable {
        owner: WireName,
        record_type: u16,
        origin: WireName,
    },
    /// It has more records than offsets can address.
    #[error("origin {origin} has too many records: split it")]
    TooLarge { origin: WireName },
}

impl Origin {
    /// Checks it alone, and against the origins named `longer`, whose names are at least as long.
    pub(crate) fn check(&self, longer: &[&WireName]) -> Result<(), OriginError> {
        if longer.contains(&&self.name) {
            return Err(OriginError::Duplicate(self.name.clone()));
        }
        self.check_records(longer)
            .map_err(|reason| OriginError::Records {
                origin: self.name.clone(),
                reason,
            })
    }

    fn check_records(&self, longer: &[&WireName]) -> Result<(), ZoneRejection> {
        for ((owner, record_type), records) in &self.sets {
            // `check_in` rejects NS records at the origin itself: only configuration may have them.
            if (owner, *record_type) != (&self.name, types::NS) {
                let set = NamedSet {
                    owner: owner.clone(),
                    record_type: *record_type,
                    records: records.clone(),
                };
                set.check_in(&self.name)?;
            }
            check_owner(owner, *record_type, &self.name, longer.iter().copied())?;
        }
        check_together(&self.name, &self.sets)
    }

    /// The data of the start of authority, in wire form.
    pub(crate) fn soa_data(&self) -> Vec<u8> {
        let soa = &self.soa;
        let mut data = [soa.mname.as_bytes(), soa.rname.as_bytes()].concat();
        for field in [
            soa.serial,
            soa.refresh_secs,
            soa.retry_secs,
            soa.expire_secs,
            soa.minimum_secs,
        ] {
            data.extend(field.to_be_bytes());
        }
        data
    }
}
