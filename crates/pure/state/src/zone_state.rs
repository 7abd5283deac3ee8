//! What the cluster has agreed on that DNS serves beside packets.

use std::collections::BTreeMap;

use bytes::{Buf, BufMut, Bytes};

use crate::{
    CookieSecret, CookieSecrets, RecordSet, RecordSets, UnixMillis, WireName,
    cluster_state::decode_array,
};

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

    /// Number (u16) of zones; each: its name, serial (u32), number (u32) of sets; each of them: owner,
    /// type (u16), TTL (u32), number (u32) of records; each of them: size (u32) and data. Then when the
    /// cookie secret was rotated (u64), and the current and the previous one, each 16 bytes behind a u8
    /// that says whether it is there. A name is in wire form, so that it tells its end.
    pub(crate) fn encode(&self, out: &mut Vec<u8>, secrecy: Secrecy) {
        out.put_u16(u16::try_from(self.zones.len()).expect("zones have a bound"));
        for (name, zone) in &self.zones {
            out.put_slice(name.as_bytes());
            out.put_u32(zone.serial);
            out.put_u32(u32::try_from(zone.sets.len()).expect("a zone has a bound"));
            for ((owner, record_type), set) in &zone.sets {
                out.put_slice(owner.as_bytes());
                out.put_u16(*record_type);
                encode_set(out, set.ttl_secs, &set.rdata);
            }
        }
        let secrets = &self.cookie_secrets;
        out.put_u64(secrets.rotated.0);
        for secret in [secrets.current, secrets.previous] {
            out.put_u8(secret.is_some().into());
            match secrecy {
                Secrecy::Whole => out.put_slice(&secret.map_or([0; _], |secret| secret.0)),
                Secrecy::Public => {}
            }
        }
    }

    /// Reads what `encode` wrote whole.
    pub(crate) fn decode(bytes: &mut Bytes) -> Option<Self> {
        let mut state = Self::default();
        for _ in 0..bytes.try_get_u16().ok()? {
            let name = decode_name(bytes)?;
            let mut zone = ReplicatedZone {
                serial: bytes.try_get_u32().ok()?,
                ..ReplicatedZone::default()
            };
            for _ in 0..bytes.try_get_u32().ok()? {
                let key = (decode_name(bytes)?, bytes.try_get_u16().ok()?);
                let (ttl_secs, rdata) = decode_set(bytes)?;
                zone.sets.insert(key, RecordSet { ttl_secs, rdata });
            }
            state.zones.insert(name, zone);
        }
        let secrets = &mut state.cookie_secrets;
        secrets.rotated = UnixMillis(bytes.try_get_u64().ok()?);
        for secret in [&mut secrets.current, &mut secrets.previous] {
            let is_there = bytes.try_get_u8().ok()? != 0;
            let bytes = decode_array(bytes)?;
            *secret = is_there.then_some(CookieSecret(bytes));
        }
        Some(state)
    }
}

/// What of a state is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Secrecy {
    Whole,
    /// What may be shown: no secret.
    Public,
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

pub(crate) fn encode_set(out: &mut impl BufMut, ttl_secs: u32, rdata: &[Bytes]) {
    out.put_u32(ttl_secs);
    let size = |size: usize| u32::try_from(size).expect("sets are far smaller");
    out.put_u32(size(rdata.len()));
    for data in rdata {
        out.put_u32(size(data.len()));
        out.put_slice(data);
    }
}

pub(crate) fn decode_set(bytes: &mut Bytes) -> Option<(u32, Vec<Bytes>)> {
    let ttl_secs = bytes.try_get_u32().ok()?;
    let mut rdata = Vec::new();
    for _ in 0..bytes.try_get_u32().ok()? {
        let size = usize::try_from(bytes.try_get_u32().ok()?).ok()?;
        let data = (size <= bytes.len()).then(|| bytes.split_to(size))?;
        // A copy: a set outlives the entry that brought it, and must not hold all of that.
        rdata.push(Bytes::copy_from_slice(&data));
    }
    Some((ttl_secs, rdata))
}

/// Reads a name off the front.
pub(crate) fn decode_name(bytes: &mut Bytes) -> Option<WireName> {
    let mut end = 0;
    loop {
        match usize::from(*bytes.get(end)?) {
            0 => break,
            size => end += size + 1,
        }
    }
    let name = bytes.split_to(end + 1);
    WireName::parse(Bytes::copy_from_slice(&name))
}

#[cfg(test)]
#[path = "zone_state_tests.rs"]
mod tests;
