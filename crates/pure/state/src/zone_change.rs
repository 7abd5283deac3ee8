//! How the replicated records of a zone change.

use std::collections::BTreeSet;

use bytes::{Bytes, BytesMut};
use quorate_packet::PublicKey;

use crate::{
    CommandError, RECORD_SET_SIZE_MAX, RecordSet, WireName, ZONE_COUNT_MAX, ZONES_SIZE_MAX,
    ZoneRecords, ZoneState,
    coding::{Coding, decode_all, fields},
};

/// The largest encoded change, in bytes: all records that there may be, each in a set of its own with
/// its owner written out.
pub const CHANGE_SIZE_MAX: usize = 2 * ZONES_SIZE_MAX;

/// The longest time to live, in seconds (RFC 2181, section 8).
const TTL_SECS_MAX: u32 = i32::MAX as u32;

const NS: u16 = 2;
const CNAME: u16 = 5;
const SOA: u16 = 6;
const DNAME: u16 = 39;
const OPT: u16 = 41;

/// Types of questions and of messages, not of data (RFC 6895, section 3.1).
const META_TYPES: std::ops::RangeInclusive<u16> = 128..=255;

/// How the replicated records of a zone change, all at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneChange {
    pub zone: WireName,
    /// Whether all that it has goes first.
    pub clear: bool,
    /// Then sets go: those of this owner and type, or all of this owner.
    pub unset: Vec<(WireName, Option<u16>)>,
    /// Then sets come, each in the place of what has its owner and type.
    pub set: Vec<NamedSet>,
}

/// A set and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedSet {
    pub owner: WireName,
    /// The type of the records.
    pub record_type: u16,
    pub records: RecordSet,
}

/// Why a zone is not changed. Names are in presentation form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ZoneRejection {
    /// A name of another zone.
    #[error("{owner} lies outside {zone}")]
    Outside { owner: WireName, zone: WireName },
    /// The name belongs to whoever holds the key.
    #[error("{0} is a public key, or lies below one: only a packet of that key has records there")]
    BelowKey(WireName),
    /// What configuration says of the apex.
    #[error("{0} has its SOA and NS records from configuration")]
    Apex(WireName),
    /// It would hide all keys (RFC 6672, section 2.3).
    #[error("a DNAME at {0} would hide all that lies below it, public keys too")]
    ApexDname(WireName),
    /// RFC 2181, section 10.1.
    #[error("{0} would have a CNAME beside other records, or more than one")]
    Cname(WireName),
    /// RFC 6672, section 2.4.
    #[error("{0} would have more than one DNAME")]
    Dname(WireName),
    /// RFC 6672, section 2.4.
    #[error("{owner} lies below the DNAME at {dname}, which hides it")]
    BelowDname { owner: WireName, dname: WireName },
    /// A question has it, or a message.
    #[error("{0} is no type of data")]
    Type(u16),
    /// RFC 2181, section 8.
    #[error("a TTL of {0} s is too long: the most is {TTL_SECS_MAX} s")]
    Ttl(u32),
    /// A set is there or not.
    #[error("a set of no records for {0}: unset it instead")]
    Empty(WireName),
    /// An answer must fit into a message.
    #[error("the records of one type of {0} take {1} bytes: the most is {RECORD_SET_SIZE_MAX}")]
    RecordSetSize(WireName, usize),
    /// What is agreed on must stay small.
    #[error(
        "all replicated records would take {0} bytes: the most is {ZONES_SIZE_MAX}; put the larger \
         zones into files that configuration names"
    )]
    Size(usize),
    /// There are as many as the cluster keeps.
    #[error("there are {ZONE_COUNT_MAX} zones with replicated records: unset those of one first")]
    ZoneCount,
}

fields! {
    ZoneChange { zone, clear, unset, set }
    NamedSet { owner, record_type, records }
}

impl ZoneChange {
    /// The bytes that [`decode`](Self::decode) reads.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        self.put(&mut out);
        out.freeze()
    }

    /// Reads what another node encoded.
    ///
    /// # Errors
    /// It is unreadable, or larger than [`CHANGE_SIZE_MAX`].
    pub fn decode(bytes: Bytes) -> Result<Self, CommandError> {
        decode_all(bytes, CHANGE_SIZE_MAX)
    }

    /// What must hold of it where nothing else is, however large that is.
    pub fn check(&self) -> Result<(), ZoneRejection> {
        self.check_sets()?;
        let mut zone = ZoneRecords::default();
        self.edit(&mut zone);
        self.check_aliases(&zone)
    }

    /// What there is after the change; `None` if that is what there was, serial and all.
    pub fn changed(&self, state: &ZoneState) -> Result<Option<ZoneState>, ZoneRejection> {
        self.check_sets()?;
        let before = state.zones.get(&self.zone);
        let mut zone = before.cloned().unwrap_or_default();
        self.edit(&mut zone);
        self.check_aliases(&zone)?;
        if zone == before.cloned().unwrap_or_default() {
            return Ok(None);
        }
        zone.serial = zone.serial.wrapping_add(1);
        let mut changed = state.clone();
        make_room(&mut changed, &self.zone)?;
        changed.zones.insert(self.zone.clone(), zone);
        match changed.size() {
            // Whatever removes records is let through, were the bound ever lowered.
            size if size > ZONES_SIZE_MAX && size >= state.size() => Err(ZoneRejection::Size(size)),
            _ => Ok(Some(changed)),
        }
    }

    fn check_sets(&self) -> Result<(), ZoneRejection> {
        self.set.iter().try_for_each(|set| self.check_set(set))
    }

    /// What must hold of a set by itself.
    fn check_set(&self, set: &NamedSet) -> Result<(), ZoneRejection> {
        let (owner, zone) = (set.owner.clone(), &self.zone);
        let Some(labels) = owner.labels_in(zone) else {
            let zone = zone.clone();
            return Err(ZoneRejection::Outside { owner, zone });
        };
        let next_to_apex = labels.last();
        let is_key = |label: &[u8]| PublicKey::parse_z32(label).is_ok();
        let is_apex = next_to_apex.is_none();
        let size = set.records.size();
        Err(match set.record_type {
            _ if next_to_apex.is_some_and(is_key) => ZoneRejection::BelowKey(owner),
            SOA | NS if is_apex => ZoneRejection::Apex(owner),
            CNAME if is_apex => ZoneRejection::Cname(owner),
            DNAME if is_apex => ZoneRejection::ApexDname(owner),
            record_type if !is_data_type(record_type) => ZoneRejection::Type(record_type),
            _ if set.records.ttl_secs > TTL_SECS_MAX => ZoneRejection::Ttl(set.records.ttl_secs),
            _ if set.records.rdata.is_empty() => ZoneRejection::Empty(owner),
            _ if size > RECORD_SET_SIZE_MAX => ZoneRejection::RecordSetSize(owner, size),
            _ => return Ok(()),
        })
    }

    fn edit(&self, zone: &mut ZoneRecords) {
        if self.clear {
            zone.sets.clear();
        }
        for (owner, record_type) in &self.unset {
            match record_type {
                Some(record_type) => drop(zone.sets.remove(&(owner.clone(), *record_type))),
                None => zone.remove_all_of(owner),
            }
        }
        for set in &self.set {
            let mut records = set.records.clone();
            let mut seen = BTreeSet::new();
            records.rdata.retain(|data| seen.insert(data.clone()));
            zone.sets
                .insert((set.owner.clone(), set.record_type), records);
        }
    }

    /// What must hold of the sets at one name.
    fn check_aliases(&self, zone: &ZoneRecords) -> Result<(), ZoneRejection> {
        let owners = self.set.iter().map(|set| &set.owner);
        for owner in owners.collect::<BTreeSet<_>>() {
            let count = |of_type: u16| {
                let set = zone.sets.get(&(owner.clone(), of_type));
                set.map_or(0, |set| set.rdata.len())
            };
            let set_count = zone.sets_of(owner).count();
            if count(CNAME) > 1 || (count(CNAME) == 1 && set_count > 1) {
                return Err(ZoneRejection::Cname(owner.clone()));
            }
            if count(DNAME) > 1 {
                return Err(ZoneRejection::Dname(owner.clone()));
            }
        }
        match zone
            .sets
            .keys()
            .any(|(_, record_type)| *record_type == DNAME)
        {
            true => self.check_hidden(zone),
            false => Ok(()),
        }
    }

    /// A set that no answer ever has is a mistake.
    fn check_hidden(&self, zone: &ZoneRecords) -> Result<(), ZoneRejection> {
        for (owner, _) in zone.sets.keys() {
            let mut above = owner.parent();
            while let Some(name) = above.filter(|name| *name != self.zone) {
                let key = (name, DNAME);
                if zone.sets.contains_key(&key) {
                    return Err(ZoneRejection::BelowDname {
                        owner: owner.clone(),
                        dname: key.0,
                    });
                }
                above = key.0.parent();
            }
        }
        Ok(())
    }
}

/// Whether records have this type, of those that a zone can be given: questions and messages have
/// others, and the SOA is configured.
pub fn is_data_type(record_type: u16) -> bool {
    !matches!(record_type, 0 | SOA | OPT) && !META_TYPES.contains(&record_type)
}

/// Lets a zone that has no records give way, if there are too many.
fn make_room(state: &mut ZoneState, zone: &WireName) -> Result<(), ZoneRejection> {
    if state.zones.contains_key(zone) || state.zones.len() < ZONE_COUNT_MAX {
        return Ok(());
    }
    let mut zones = state.zones.iter();
    let emptied = zones.find(|(_, records)| records.sets.is_empty());
    let emptied = emptied.map(|(name, _)| name.clone());
    let emptied = emptied.ok_or(ZoneRejection::ZoneCount)?;
    state.zones.remove(&emptied);
    Ok(())
}

#[cfg(test)]
#[path = "zone_change_tests.rs"]
mod tests;
