//! Replicated zones.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};

use crate::{
    CommandError, RecordSet, RecordSets, WireName,
    codec::{Codec, fields},
};

/// The most bytes of all zones together, as counted by [`ZoneState::size`].
///
/// They are part of the replicated state, which is completely in memory, in each checkpoint and in the first
/// piece of each snapshot. About 5,000 records fit: the names of an organisation, not of its customers. A
/// larger zone should be a zone file named in the configuration.
pub const ZONES_SIZE_MAX: usize = 256 * 1024;

/// The most zones with replicated records: as many as origins can be configured.
pub const ZONE_COUNT_MAX: usize = 64;

/// The overhead of a zone in bytes: its serial and a count.
const ZONE_OVERHEAD: usize = 8;

const _: () = assert!(ZONES_SIZE_MAX < u32::MAX as usize);

/// The replicated zones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ZoneState {
    /// Zones by name. A zone without records keeps its serial.
    pub zones: BTreeMap<WireName, ReplicatedZone>,
}

/// The replicated records of a zone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplicatedZone {
    /// How often the records have changed, modulo 2³². It is added to the configured serial of the SOA
    /// (RFC 1982).
    pub serial: u32,
    /// Sets by owner and type.
    pub sets: RecordSets,
}

impl ZoneState {
    /// The size of all zones, in bytes.
    pub fn size(&self) -> usize {
        let zones = self.zones.iter();
        zones.map(|(name, zone)| zone.size_at(name)).sum()
    }
}

fields! {
    ReplicatedZone { serial, sets }
    RecordSet { ttl_secs, rdata }
}

/// Behind the zones, older programs have written the secrets of DNS cookies: two of 16 bytes, if there are any,
/// and a time. They are skipped, and written as absent.
impl Codec for ZoneState {
    fn put(&self, out: &mut BytesMut) {
        self.zones.put(out);
        (None::<[u8; 16]>, (None::<[u8; 16]>, 0_u64)).put(out);
    }

    fn take(bytes: &mut Bytes) -> Result<Self, CommandError> {
        let zones = Codec::take(bytes)?;
        <(Option<[u8; 16]>, (Option<[u8; 16]>, u64))>::take(bytes)?;
        Ok(Self { zones })
    }
}

impl ReplicatedZone {
    pub(crate) fn remove_all_of(&mut self, owner: &WireName) {
        let of_owner = (owner.clone(), 0)..=(owner.clone(), u16::MAX);
        self.sets.extract_if(of_owner, |_, _| true).for_each(drop);
    }

    /// The size of the zone with this name, in bytes.
    pub(crate) fn size_at(&self, name: &WireName) -> usize {
        let sets = self.sets.iter();
        let sets = sets.map(|((owner, _), set)| owner.as_bytes().len() + set.size());
        ZONE_OVERHEAD + name.as_bytes().len() + sets.sum::<usize>()
    }
}

#[cfg(test)]
#[path = "zone_state_tests.rs"]
mod tests;
