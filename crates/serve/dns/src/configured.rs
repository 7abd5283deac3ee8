//! The configured zones, for code that adds replicated records to them.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use hickory_proto::rr::RecordType;
use quorate_replica::{ReplicatedZone, WireName, ZoneRejection, check_beside, check_owner};
use quorate_zone::{
    Origin,
    file::{is_rdata, type_text},
};

/// The configured zones and their records. Clones share them.
#[derive(Debug, Clone)]
pub struct ConfiguredZones {
    zones: Arc<BTreeMap<WireName, ConfiguredZone>>,
}

#[derive(Debug)]
struct ConfiguredZone {
    origin: Origin,
    /// Sorted when it is first needed: few zones ever have a replicated DNAME.
    paths: OnceLock<Vec<Box<[u8]>>>,
}

impl ConfiguredZones {
    pub fn new(origins: &[Origin]) -> Self {
        let zones = origins.iter().cloned().map(|origin| {
            let paths = OnceLock::new();
            (origin.name.clone(), ConfiguredZone { origin, paths })
        });
        Self {
            zones: Arc::new(zones.collect()),
        }
    }

    pub(crate) fn origins(&self) -> impl Iterator<Item = &Origin> {
        self.zones.values().map(|zone| &zone.origin)
    }

    /// The configured serial of each zone.
    pub fn serials(&self) -> BTreeMap<WireName, u32> {
        let origins = self.origins();
        origins
            .map(|origin| (origin.name.clone(), origin.soa.serial))
            .collect()
    }

    /// Checks whether a zone may have replicated records of this owner and type next to its
    /// configured records. Configured records take precedence over replicated ones. The time for it
    /// does not grow with the number of records, so all replicated records can be checked.
    ///
    /// # Errors
    /// Why it may not, in words for an operator.
    pub fn check(&self, zone: &WireName, owner: &WireName, record_type: u16) -> Result<(), String> {
        check_owner(owner, record_type, zone, self.zones.keys())
            .map_err(|error| error.to_string())?;
        let Some(configured) = self.zones.get(zone) else {
            return Err(format!("no zone {zone} is configured here"));
        };
        let sets = &configured.origin.sets;
        if sets.contains_key(&(owner.clone(), record_type)) {
            return Err(format!(
                "{owner} has records of type {} in the configuration of this node, which takes \
                 precedence: change dns.origins",
                type_text(record_type)
            ));
        }
        let beside = check_beside(zone, sets, owner, record_type);
        let checked = beside.and_then(|()| configured.check_below(owner, record_type));
        checked.map_err(|error| {
            format!("{error}: the configuration of this node takes precedence; change dns.origins")
        })
    }

    /// An origin with its configured records and those replicated records that it may have. Logs
    /// that others are left out.
    pub(crate) fn with_replicated(&self, origin: &Origin, replicated: &ReplicatedZone) -> Origin {
        let mut merged = origin.clone();
        merged.soa.serial = merged.soa.serial.wrapping_add(replicated.serial);
        let mut reasons = Vec::new();
        for ((owner, record_type), set) in &replicated.sets {
            let mut set = set.clone();
            set.rdata.retain(|data| is_rdata(*record_type, data));
            if set.rdata.is_empty() {
                continue;
            }
            match self.check(&origin.name, owner, *record_type) {
                Ok(()) => drop(merged.sets.insert((owner.clone(), *record_type), set)),
                Err(reason) => reasons.push(reason),
            }
        }
        if let Some(reason) = reasons.first() {
            let (zone, count) = (&origin.name, reasons.len());
            tracing::warn!(%zone, count, reason, "replicated records are not served; the first reason");
        }
        merged
    }
}

impl ConfiguredZone {
    /// Checks that a set of this owner and type hides no configured records (RFC 6672, section 2.4).
    fn check_below(&self, owner: &WireName, record_type: u16) -> Result<(), ZoneRejection> {
        if RecordType::from(record_type) != RecordType::DNAME {
            return Ok(());
        }
        let paths = self.paths.get_or_init(|| {
            let mut paths: Vec<_> = self
                .origin
                .sets
                .keys()
                .map(|(name, _)| path(name))
                .collect();
            paths.sort_unstable();
            paths.dedup();
            paths
        });
        let path = path(owner);
        let next = paths.partition_point(|other| *other <= path);
        match paths.get(next) {
            Some(below) if below.starts_with(&path) => {
                Err(ZoneRejection::HidesNames(owner.clone()))
            }
            _ => Ok(()),
        }
    }
}

/// The labels of a name from the right, each with its length: those of the names below it start with
/// the same bytes, so they follow it when sorted.
fn path(name: &WireName) -> Box<[u8]> {
    let labels: Vec<&[u8]> = name.labels().collect();
    let labels = labels.into_iter().rev();
    labels
        .flat_map(|label| std::iter::once(label.len() as u8).chain(label.iter().copied()))
        .collect()
}

#[cfg(test)]
#[path = "configured_tests.rs"]
mod tests;
