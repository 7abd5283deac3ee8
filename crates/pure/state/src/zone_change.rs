//! How the replicated records of a zone change.

use std::collections::BTreeSet;

use bytes::{Bytes, BytesMut};

use crate::{
    CommandError, NamedSet, ReplicatedZone, WireName, ZONE_COUNT_MAX, ZONES_SIZE_MAX,
    ZoneRejection, ZoneState,
    coding::{Coding, decode_all, fields},
    zone_check::check_together,
};

/// The largest encoded change, in bytes: all records that there may be, each in a set of its own with
/// its owner written out.
pub const CHANGE_SIZE_MAX: usize = 2 * ZONES_SIZE_MAX;

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

    /// What there is after the change; `None` if that is what there was, serial and all.
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
            // Whatever removes records is let through, were the bound ever lowered.
            size if size > ZONES_SIZE_MAX && size >= state.size() => Err(ZoneRejection::Size(size)),
            _ => Ok(Some(changed)),
        }
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
