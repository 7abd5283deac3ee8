//! Changes of the replicated records of a zone.

use std::collections::BTreeSet;

use bytes::{Bytes, BytesMut};

use crate::{
    CommandError, NamedSet, ReplicatedZone, WireName, ZONE_COUNT_MAX, ZONES_SIZE_MAX,
    ZoneRejection, ZoneState,
    codec::{Codec, decode_all, fields},
    zone_check::check_together,
};

/// The largest encoded change, in bytes: all possible records, each in its own set with its owner.
pub const CHANGE_SIZE_MAX: usize = 2 * ZONES_SIZE_MAX;

/// A change of the replicated records of a zone, applied atomically.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneChange {
    pub zone: WireName,
    /// Whether all records are removed first.
    pub clear: bool,
    /// Then the sets to remove: of this owner and type, or all of this owner.
    pub unset: Vec<(WireName, Option<u16>)>,
    /// Then the sets to add, each replacing that of its owner and type.
    pub set: Vec<NamedSet>,
}

fields! {
    ZoneChange { zone, clear, unset, set }
    NamedSet { owner, record_type, records }
}

impl ZoneChange {
    /// Encodes for [`decode`](Self::decode).
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        self.put(&mut out);
        out.freeze()
    }

    /// Decodes the output of [`encode`](Self::encode) of another node.
    ///
    /// # Errors
    /// It is invalid, or larger than [`CHANGE_SIZE_MAX`].
    pub fn decode(bytes: Bytes) -> Result<Self, CommandError> {
        decode_all(bytes, CHANGE_SIZE_MAX)
    }

    /// The state after the change; `None` if nothing changes.
    pub fn changed(&self, state: &ZoneState) -> Result<Option<ZoneState>, ZoneRejection> {
        for set in &self.set {
            set.check_in(&self.zone)?;
        }
        let before = state.zones.get(&self.zone);
        let mut zone = before.cloned().unwrap_or_default();
        self.edit(&mut zone);
        check_together(&self.zone, &zone.sets)?;
        if zone == before.cloned().unwrap_or_default() {
            return Ok(None);
        }
        zone.serial = zone.serial.wrapping_add(1);
        let mut changed = state.clone();
        make_room(&mut changed, &self.zone)?;
        changed.zones.insert(self.zone.clone(), zone);
        match changed.size() {
            // A change that removes records is always allowed, in case the limit is ever lowered.
            size if size > ZONES_SIZE_MAX && size >= state.size() => Err(ZoneRejection::Size(size)),
            _ => Ok(Some(changed)),
        }
    }

    /// The name of records to remove that `state` does not have. Only operators are told: a replica
    /// that applies such a change leaves it out.
    pub fn missing(&self, state: &ZoneState) -> Option<&WireName> {
        let none = ReplicatedZone::default();
        let sets = &state.zones.get(&self.zone).unwrap_or(&none).sets;
        let is_there = |owner: &WireName, record_type: Option<u16>| {
            let mut known = sets.keys();
            known.any(|(name, of_type)| {
                name == owner && record_type.is_none_or(|record_type| record_type == *of_type)
            })
        };
        let mut missing = self.unset.iter();
        let missing = missing.find(|(owner, record_type)| !is_there(owner, *record_type));
        missing.map(|(owner, _)| owner)
    }

    fn edit(&self, zone: &mut ReplicatedZone) {
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
}

/// Removes a zone without records, if there are too many zones.
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
