//! What the cluster has agreed on that DNS serves beside packets.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::{CookieSecrets, WireName, coding::fields};

/// The most bytes that all zones take together, as [`ZoneState::size`] counts them.
///
/// They are part of what the cluster has agreed on, which stands whole in memory, in each checkpoint
/// and in the first piece of each snapshot. Some 5,000 records fit: the names of an organisation, not
/// of its customers. A larger zone is a file, included by configuration.
pub const ZONES_SIZE_MAX: usize = 256 * 1024;

/// The most zones that have replicated records: as many as origins can be configured.
pub const ZONE_COUNT_MAX: usize = 64;

/// The most bytes of a set of records: the answer fits into one DNS message of 64 KiB several times,
/// signatures and additional records beside it.
pub const RECORD_SET_SIZE_MAX: usize = 16 * 1024;

/// What takes room beside name and data, in bytes: of a zone its serial and a count, of a set its type,
/// TTL and a count, and of a record the size of its data.
const ZONE_OVERHEAD: usize = 8;
const RECORD_SET_OVERHEAD: usize = 10;
const RECORD_OVERHEAD: usize = 4;

const _: () = assert!(ZONES_SIZE_MAX < u32::MAX as usize);

/// What the cluster has agreed on that DNS serves beside packets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ZoneState {
    /// Zones by their names. One that has lost its last record keeps its serial.
    pub zones: BTreeMap<WireName, ZoneRecords>,
    pub cookie_secrets: CookieSecrets,
}

/// The replicated records of a zone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ZoneRecords {
    /// How often they have changed, modulo 2³²: what the serial of the SOA is ahead of the configured
    /// one (RFC 1982).
    pub serial: u32,
    /// Sets by owner and type.
    pub sets: BTreeMap<(WireName, u16), RecordSet>,
}

/// Records of one owner and type (RFC 2181, section 5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordSet {
    /// How long they may be cached, in seconds.
    pub ttl_secs: u32,
    /// The data of each, in wire form and without compression. No two are equal.
    pub rdata: Vec<Bytes>,
}

impl ZoneState {
    /// How much room the zones take, in bytes.
    pub fn size(&self) -> usize {
        let zones = self.zones.iter();
        zones.map(|(name, zone)| zone.size_at(name)).sum()
    }
}

fields! {
    ZoneState { zones, cookie_secrets }
    ZoneRecords { serial, sets }
    RecordSet { ttl_secs, rdata }
    CookieSecrets { current, previous, rotated }
}

impl ZoneRecords {
    /// The sets of this owner, by their types.
    pub fn sets_of(&self, owner: &WireName) -> impl Iterator<Item = (u16, &RecordSet)> {
        let of_owner = (owner.clone(), 0)..=(owner.clone(), u16::MAX);
        let sets = self.sets.range(of_owner);
        sets.map(|((_, record_type), set)| (*record_type, set))
    }

    pub(crate) fn remove_all_of(&mut self, owner: &WireName) {
        let types: Vec<_> = self.sets_of(owner).map(|(of_type, _)| of_type).collect();
        for record_type in types {
            self.sets.remove(&(owner.clone(), record_type));
        }
    }

    /// How much room the zone of this name takes, in bytes.
    pub(crate) fn size_at(&self, name: &WireName) -> usize {
        let sets = self.sets.iter();
        let sets = sets.map(|((owner, _), set)| owner.as_bytes().len() + set.size());
        ZONE_OVERHEAD + name.as_bytes().len() + sets.sum::<usize>()
    }
}

impl RecordSet {
    /// How much room it takes beside its owner, in bytes.
    pub(crate) fn size(&self) -> usize {
        let records = self.rdata.iter().map(|data| RECORD_OVERHEAD + data.len());
        RECORD_SET_OVERHEAD + records.sum::<usize>()
    }
}

#[cfg(test)]
#[path = "zone_state_tests.rs"]
mod tests;
