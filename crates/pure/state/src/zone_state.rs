//! What the cluster has agreed on that DNS serves beside packets.

use std::collections::BTreeMap;

use crate::{CookieSecrets, RecordSet, RecordSets, WireName, coding::fields};

/// The most bytes that all zones take together, as [`ZoneState::size`] counts them.
///
/// They are part of what the cluster has agreed on, which stands whole in memory, in each checkpoint
/// and in the first piece of each snapshot. Some 5,000 records fit: the names of an organisation, not
/// of its customers. A larger zone is a file, included by configuration.
pub const ZONES_SIZE_MAX: usize = 256 * 1024;

/// The most zones that have replicated records: as many as origins can be configured.
pub const ZONE_COUNT_MAX: usize = 64;

/// What a zone takes beside its name and its sets, in bytes: its serial and a count.
const ZONE_OVERHEAD: usize = 8;

const _: () = assert!(ZONES_SIZE_MAX < u32::MAX as usize);

/// What the cluster has agreed on that DNS serves beside packets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ZoneState {
    /// Zones by their names. One that has lost its last record keeps its serial.
    pub zones: BTreeMap<WireName, ReplicatedZone>,
    pub cookie_secrets: CookieSecrets,
}

/// The replicated records of a zone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplicatedZone {
    /// How often they have changed, modulo 2³²: what the serial of the SOA is ahead of the configured
    /// one (RFC 1982).
    pub serial: u32,
    /// Sets by owner and type.
    pub sets: RecordSets,
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
    ReplicatedZone { serial, sets }
    RecordSet { ttl_secs, rdata }
    CookieSecrets { current, previous, rotated }
}

impl ReplicatedZone {
    pub(crate) fn remove_all_of(&mut self, owner: &WireName) {
        let of_owner = (owner.clone(), 0)..=(owner.clone(), u16::MAX);
        self.sets.extract_if(of_owner, |_, _| true).for_each(drop);
    }

    /// How much room the zone of this name takes, in bytes.
    pub(crate) fn size_at(&self, name: &WireName) -> usize {
        let sets = self.sets.iter();
        let sets = sets.map(|((owner, _), set)| owner.as_bytes().len() + set.size());
        ZONE_OVERHEAD + name.as_bytes().len() + sets.sum::<usize>()
    }
}

#[cfg(test)]
#[path = "zone_state_tests.rs"]
mod tests;
