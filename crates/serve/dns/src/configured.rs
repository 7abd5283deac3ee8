//! What configuration says of the zones, for those who put replicated records beside it.

use std::collections::{BTreeMap, BTreeSet};

use hickory_proto::rr::RecordType;
use quorate_replica::WireName;
use quorate_zone::Origin;
use quorate_zone::file::{type_text, wire_name};

const CNAME: u16 = 5;
const DNAME: u16 = 39;

/// The zones that are configured, and what stands in them.
#[derive(Debug, Clone)]
pub struct ConfiguredZones {
    zones: BTreeMap<WireName, Zone>,
}

#[derive(Debug, Clone)]
struct Zone {
    serial: u32,
    /// Owner and type of each set.
    sets: BTreeSet<(WireName, u16)>,
}

impl ConfiguredZones {
    pub fn new(origins: &[Origin]) -> Self {
        let zones = origins.iter().filter_map(|origin| {
            let name = wire_name(&origin.name)?;
            let zone = Zone {
                serial: origin.soa.serial,
                sets: sets(origin, &name),
            };
            Some((name, zone))
        });
        Self {
            zones: zones.collect(),
        }
    }

    /// The configured serial of each zone.
    pub fn serials(&self) -> BTreeMap<WireName, u32> {
        let zones = self.zones.iter();
        zones
            .map(|(name, zone)| (name.clone(), zone.serial))
            .collect()
    }

    /// Whether replicated records of this owner and type can stand in a zone beside what configuration
    /// has there. Where both have some, configuration counts.
    ///
    /// # Errors
    /// What speaks against it, in words for an operator.
    pub fn check(&self, zone: &WireName, owner: &WireName, record_type: u16) -> Result<(), String> {
        self.check_zone(zone, owner)?;
        let Some(configured) = self.zones.get(zone) else {
            return Err(format!("no zone {zone} is configured here"));
        };
        let mut at_owner = configured
            .sets
            .range((owner.clone(), 0)..=(owner.clone(), u16::MAX));
        let other = at_owner.find(|(_, of_type)| {
            *of_type == record_type || *of_type == CNAME || record_type == CNAME
        });
        match other {
            None => configured.check_hidden(zone, owner, record_type),
            Some((_, of_type)) => Err(format!(
                "{owner} has records of type {} in the configuration of this node, which counts: change \
                 dns.origins",
                type_text(*of_type)
            )),
        }
    }

    /// A name belongs to the longest zone that it lies in.
    fn check_zone(&self, zone: &WireName, owner: &WireName) -> Result<(), String> {
        let zones = self.zones.keys();
        let around = zones.filter(|zone| owner.labels_in(zone).is_some());
        match around.max_by_key(|zone| zone.labels().count()) {
            Some(longest) if longest.labels().count() > zone.labels().count() => Err(format!(
                "{owner} belongs to the zone {longest}: set it there"
            )),
            _ => Ok(()),
        }
    }
}

impl Zone {
    /// Nothing stands below a DNAME (RFC 6672, section 2.4).
    fn check_hidden(
        &self,
        zone: &WireName,
        owner: &WireName,
        record_type: u16,
    ) -> Result<(), String> {
        let mut above = owner.parent();
        while let Some(name) = above.filter(|name| name != zone) {
            let dname = (name, DNAME);
            if self.sets.contains(&dname) {
                return Err(format!(
                    "{owner} lies below the DNAME at {}, which hides it",
                    dname.0
                ));
            }
            above = dname.0.parent();
        }
        let is_below =
            |(name, _): &&(WireName, u16)| name != owner && name.labels_in(owner).is_some();
        match self.sets.iter().find(is_below) {
            Some((hidden, _)) if record_type == DNAME => Err(format!(
                "a DNAME at {owner} would hide what the configuration of this node has at {hidden}"
            )),
            _ => Ok(()),
        }
    }
}

fn sets(origin: &Origin, name: &WireName) -> BTreeSet<(WireName, u16)> {
    let apex = [
        (RecordType::SOA, true),
        (RecordType::NS, !origin.ns.is_empty()),
        (RecordType::A, !origin.a.is_empty()),
        (RecordType::AAAA, !origin.aaaa.is_empty()),
    ];
    let apex = apex.into_iter().filter(|(_, is_there)| *is_there);
    let apex = apex.map(|(record_type, _)| (name.clone(), record_type.into()));
    let servers = origin
        .ns_addresses
        .iter()
        .filter_map(|(server, addresses)| {
            let server = wire_name(server)?;
            let types = addresses.iter().map(|address| match address.is_ipv4() {
                true => RecordType::A,
                false => RecordType::AAAA,
            });
            let sets = types.map(|record_type| (server.clone(), record_type.into()));
            Some(sets.collect::<Vec<_>>())
        });
    let records = origin.records.iter().filter_map(|record| {
        let owner = wire_name(&record.name)?;
        Some((owner, record.record_type().into()))
    });
    apex.chain(servers.flatten()).chain(records).collect()
}

#[cfg(test)]
#[path = "configured_tests.rs"]
mod tests;
