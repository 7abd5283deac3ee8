//! Checks of the records of a zone, configured or replicated.

use quorate_packet::PublicKey;

use crate::{NamedSet, RecordSets, WireName, ZONE_COUNT_MAX, ZONES_SIZE_MAX};

/// The most bytes of a record set, so that several of them, with signatures and additional records, fit into
/// one DNS message of 64 KiB.
pub const RECORD_SET_SIZE_MAX: usize = 16 * 1024;

/// The longest time to live, in seconds (RFC 2181, section 8).
pub const TTL_SECS_MAX: u32 = i32::MAX as u32;

const NS: u16 = 2;
const CNAME: u16 = 5;
const SOA: u16 = 6;
const DNAME: u16 = 39;
const OPT: u16 = 41;
const DS: u16 = 43;

/// Meta types and QTYPEs, which have no data (RFC 6895, section 3.1).
const META_TYPES: std::ops::RangeInclusive<u16> = 128..=255;

/// Why a zone cannot have these records. Names are in presentation format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ZoneRejection {
    #[error("{owner} is outside {zone}: set it in its own zone")]
    Outside { owner: WireName, zone: WireName },
    /// A name belongs to the longest zone that contains it.
    #[error("{owner} belongs to the zone {zone}: set it there")]
    OfOther { owner: WireName, zone: WireName },
    /// The name belongs to the owner of the key.
    #[error("{0} is a public key or below one: only packets of that key have records there")]
    BelowKey(WireName),
    #[error("{0} has its SOA and NS records from configuration: leave them out")]
    Apex(WireName),
    /// RFC 4035, section 2.4.
    #[error("the DS records of {0} belong to the zone above it: give them to its operator")]
    ApexDs(WireName),
    /// It would hide all keys (RFC 6672, section 2.3).
    #[error("a DNAME at {0} would hide all names below it, also public keys")]
    ApexDname(WireName),
    /// RFC 2181, section 10.1.
    #[error("{0} would have a CNAME together with other records, or several CNAMEs")]
    Cname(WireName),
    /// RFC 6672, section 2.4.
    #[error("{0} would have more than one DNAME")]
    Dname(WireName),
    /// RFC 6672, section 2.4.
    #[error("{owner} is below the DNAME at {dname}, which hides it")]
    BelowDname { owner: WireName, dname: WireName },
    /// RFC 6672, section 2.4.
    #[error("a DNAME at {0} would hide the records below it")]
    HidesNames(WireName),
    /// It is a meta type or a QTYPE.
    #[error("{0} is not a data type")]
    Type(u16),
    #[error("a TTL of {0} s is too long: the most is {TTL_SECS_MAX} s")]
    Ttl(u32),
    /// A set cannot be empty.
    #[error("an empty record set for {0}: unset it instead")]
    Empty(WireName),
    /// An answer must fit into a message.
    #[error("the records of one type of {0} take {1} bytes: the most is {RECORD_SET_SIZE_MAX}")]
    RecordSetSize(WireName, usize),
    /// Replicated state must stay small.
    #[error(
        "all replicated records would take {0} bytes: the most is {ZONES_SIZE_MAX}; put the larger \
         zones into files that configuration names"
    )]
    Size(usize),
    #[error(
        "there are already {ZONE_COUNT_MAX} zones with replicated records: unset those of one first"
    )]
    ZoneCount,
}

/// Whether a zone can be given records of this type: no meta type, no QTYPE, and no SOA, which is
/// configured.
pub fn is_data_type(record_type: u16) -> bool {
    !matches!(record_type, 0 | SOA | OPT) && !META_TYPES.contains(&record_type)
}

impl NamedSet {
    /// Checks a single set. The SOA and NS records of the zone itself belong to the configuration.
    pub fn check_in(&self, zone: &WireName) -> Result<(), ZoneRejection> {
        let owner = || self.owner.clone();
        let Some(labels) = self.owner.labels_in(zone) else {
            let (owner, zone) = (owner(), zone.clone());
            return Err(ZoneRejection::Outside { owner, zone });
        };
        let next_to_apex = labels.last();
        let is_key = |label: &[u8]| PublicKey::parse_z32(label).is_ok();
        let is_apex = next_to_apex.is_none();
        let (records, size) = (&self.records, self.records.size());
        Err(match self.record_type {
            _ if next_to_apex.is_some_and(is_key) => ZoneRejection::BelowKey(owner()),
            SOA | NS if is_apex => ZoneRejection::Apex(owner()),
            CNAME if is_apex => ZoneRejection::Cname(owner()),
            DNAME if is_apex => ZoneRejection::ApexDname(owner()),
            record_type if !is_data_type(record_type) => ZoneRejection::Type(record_type),
            _ if records.ttl_secs > TTL_SECS_MAX => ZoneRejection::Ttl(records.ttl_secs),
            _ if records.rdata.is_empty() => ZoneRejection::Empty(owner()),
            _ if size > RECORD_SET_SIZE_MAX => ZoneRejection::RecordSetSize(owner(), size),
            _ => return Ok(()),
        })
    }
}

/// Checks all sets of a zone together.
pub fn check_together(zone: &WireName, sets: &RecordSets) -> Result<(), ZoneRejection> {
    for ((owner, record_type), set) in sets {
        match *record_type {
            CNAME if set.rdata.len() > 1 => return Err(ZoneRejection::Cname(owner.clone())),
            DNAME if set.rdata.len() > 1 => return Err(ZoneRejection::Dname(owner.clone())),
            record_type => check_beside(zone, sets, owner, record_type)?,
        }
    }
    Ok(())
}

/// Checks that records of a name belong to this zone: they belong to the longest zone that contains
/// the name. DS records belong to the longest zone above it (RFC 4035, section 2.4).
pub fn check_owner<'z>(
    owner: &WireName,
    record_type: u16,
    zone: &WireName,
    zones: impl IntoIterator<Item = &'z WireName>,
) -> Result<(), ZoneRejection> {
    if record_type == DS && owner == zone {
        return Err(ZoneRejection::ApexDs(owner.clone()));
    }
    let above = owner.parent().filter(|_| record_type == DS);
    let place = above.as_ref().unwrap_or(owner);
    let is_around = |other: &&WireName| place.labels_in(other).is_some();
    let around = zones.into_iter().filter(is_around);
    match around.max_by_key(|other| other.labels().count()) {
        Some(longest) if longest.labels_in(zone).is_some() && longest != zone => {
            Err(ZoneRejection::OfOther {
                owner: owner.clone(),
                zone: longest.clone(),
            })
        }
        _ => Ok(()),
    }
}

/// Checks whether a set of this owner and type is possible next to these other sets: a CNAME is alone at
/// its name, and a DNAME hides the names below it. It does not search for names below a new DNAME.
pub fn check_beside(
    zone: &WireName,
    sets: &RecordSets,
    owner: &WireName,
    record_type: u16,
) -> Result<(), ZoneRejection> {
    let at_owner = sets.range((owner.clone(), 0)..=(owner.clone(), u16::MAX));
    let mut others = at_owner.filter(|((_, other), _)| *other != record_type);
    if others.any(|((_, other), _)| record_type == CNAME || *other == CNAME) {
        return Err(ZoneRejection::Cname(owner.clone()));
    }
    let mut above = owner.parent();
    while let Some(name) = above.filter(|name| name != zone) {
        let key = (name, DNAME);
        if sets.contains_key(&key) {
            return Err(ZoneRejection::BelowDname {
                owner: owner.clone(),
                dname: key.0,
            });
        }
        above = key.0.parent();
    }
    Ok(())
}
