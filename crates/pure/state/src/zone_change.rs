//! How the replicated records of a zone change.

use std::collections::BTreeSet;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::{
    CommandError, NamedSet, RecordSet, ReplicatedZone, WireName, ZONE_COUNT_MAX, ZONES_SIZE_MAX,
    ZoneRejection, ZoneState,
    zone_check::check_together,
    zone_state::{decode_name, decode_set, encode_set},
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

impl ZoneChange {
    /// The bytes that [`decode`](Self::decode) reads.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        self.encode_into(&mut out);
        out.freeze()
    }

    /// Reads what another node encoded.
    ///
    /// # Errors
    /// It is unreadable, or larger than [`CHANGE_SIZE_MAX`].
    pub fn decode(mut bytes: Bytes) -> Result<Self, CommandError> {
        if bytes.len() > CHANGE_SIZE_MAX {
            return Err(CommandError::Trailing(bytes.len() - CHANGE_SIZE_MAX));
        }
        let change = Self::read(&mut bytes)?;
        match bytes.len() {
            0 => Ok(change),
            rest => Err(CommandError::Trailing(rest)),
        }
    }

    pub(crate) fn encode_into(&self, out: &mut BytesMut) {
        let count = |count: usize| u32::try_from(count).expect("what is in memory is counted");
        out.put_slice(self.zone.as_bytes());
        out.put_u8(self.clear.into());
        out.put_u32(count(self.unset.len()));
        for (owner, record_type) in &self.unset {
            out.put_slice(owner.as_bytes());
            // No set has the type 0.
            out.put_u16(record_type.unwrap_or(0));
        }
        out.put_u32(count(self.set.len()));
        for set in &self.set {
            out.put_slice(set.owner.as_bytes());
            out.put_u16(set.record_type);
            encode_set(out, set.records.ttl_secs, &set.records.rdata);
        }
    }

    pub(crate) fn read(bytes: &mut Bytes) -> Result<Self, CommandError> {
        let name = |bytes: &mut Bytes| decode_name(bytes).ok_or(CommandError::Record);
        let zone = name(bytes)?;
        let clear = bytes.try_get_u8()? != 0;
        let mut unset = Vec::new();
        for _ in 0..bytes.try_get_u32()? {
            let owner = name(bytes)?;
            let record_type = Some(bytes.try_get_u16()?);
            unset.push((owner, record_type.filter(|record_type| *record_type != 0)));
        }
        let mut set = Vec::new();
        for _ in 0..bytes.try_get_u32()? {
            let (owner, record_type) = (name(bytes)?, bytes.try_get_u16()?);
            let (ttl_secs, rdata) = decode_set(bytes).ok_or(CommandError::Record)?;
            set.push(NamedSet {
                owner,
                record_type,
                records: RecordSet { ttl_secs, rdata },
            });
        }
        Ok(Self {
            zone,
            clear,
            unset,
            set,
        })
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
