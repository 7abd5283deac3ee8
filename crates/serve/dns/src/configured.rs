//! The configured zones, for code that adds replicated records to them.

use std::collections::BTreeMap;

use quorate_replica::{WireName, check_beside, check_owner};
use quorate_zone::{Origin, file::type_text};

/// The configured zones and their records.
#[derive(Debug, Clone)]
pub struct ConfiguredZones {
    zones: BTreeMap<WireName, Origin>,
}

impl ConfiguredZones {
    pub fn new(origins: &[Origin]) -> Self {
        let zones = origins.iter().cloned();
        Self {
            zones: zones.map(|origin| (origin.name.clone(), origin)).collect(),
        }
    }

    pub(crate) fn origins(&self) -> impl Iterator<Item = &Origin> {
        self.zones.values()
    }

    /// The configured serial of each zone.
    pub fn serials(&self) -> BTreeMap<WireName, u32> {
        let zones = self.zones.iter();
        zones
            .map(|(name, origin)| (name.clone(), origin.soa.serial))
            .collect()
    }

    /// Checks whether a zone may have replicated records of this owner and type next to its
    /// configured records. Configured records take precedence over replicated ones.
    ///
    /// # Errors
    /// Why it may not, in words for an operator.
    pub fn check(&self, zone: &WireName, owner: &WireName, record_type: u16) -> Result<(), String> {
        check_owner(owner, record_type, zone, self.zones.keys())
            .map_err(|error| error.to_string())?;
        let Some(configured) = self.zones.get(zone) else {
            return Err(format!("no zone {zone} is configured here"));
        };
        if configured.sets.contains_key(&(owner.clone(), record_type)) {
            return Err(format!(
                "{owner} has records of type {} in the configuration of this node, which takes \
                 precedence: change dns.origins",
                type_text(record_type)
            ));
        }
        check_beside(zone, &configured.sets, owner, record_type).map_err(|error| {
            format!("{error}: the configuration of this node takes precedence; change dns.origins")
        })
    }
}

#[cfg(test)]
#[path = "configured_tests.rs"]
mod tests;
