//! The configuration of an origin: a zone under which records are served.

use std::{
    collections::BTreeMap,
    fs::File,
    io::Read,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use hickory_proto::rr::RecordType;
use quorate_replica::{NamedSet, RecordSet, WireName, check_together};
use quorate_setting::{Findings, KeyPath, settings};
use quorate_zone::{
    NEGATIVE_TTL_SECS_MAX, Origin, Soa,
    file::{parse_name, record_sets},
};

const WEEK_SECS: u32 = 7 * 24 * 3600;

/// The largest zone file, in bytes: about 20,000 records. They are compiled again each time that
/// replicated records of the zone change.
const ZONE_FILE_SIZE_MAX: u64 = 1024 * 1024;

settings! {
    /// A zone under which records are served, and the records of its apex.
    pub struct OriginSettings {
        /// Name of the zone; "." for the root.
        name: String = String::new();
        /// Name servers of the zone, the same as in the delegation of its parent zone.
        ns: Vec<String> = Vec::new();
        /// IPv4 addresses of the zone's own name.
        a: Vec<Ipv4Addr> = Vec::new();
        /// IPv6 addresses of the zone's own name.
        aaaa: Vec<Ipv6Addr> = Vec::new();
        /// How long resolvers may cache these records.
        ttl_secs: u32 = 3600, in 1..=WEEK_SECS, "resolvers cache a mistake this long";
        /// The start of authority (SOA; RFC 1035, section 3.3.13).
        soa: SoaSettings = SoaSettings::default();
        /// Other records, each as a line of a zone file: "www 300 A 192.0.2.1". Names are relative
        /// to the zone.
        records: Vec<String> = Vec::new();
        /// Zone file (RFC 1035, section 5) with more records; empty for none. The SOA and the name
        /// servers of the zone itself must be in soa and ns, not in this file.
        zone_file: PathBuf = PathBuf::new();
        /// Smallest TTL of a record that a key has published: a smaller TTL is raised to it.
        ttl_secs_min: u32 = 0, in 0..=WEEK_SECS, "resolvers cache a mistake this long";
        /// Largest TTL of a record that a key has published: a larger TTL is lowered to it.
        ttl_secs_max: u32 = WEEK_SECS, in 1..=WEEK_SECS, "resolvers cache a mistake this long";
        /// Whether keys that the cluster does not store are looked up in the DHT, if dht.mode allows it.
        dht: bool = true;
        /// Addresses of the name servers whose names are inside the zone.
        ns_addresses: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
    }
}

settings! {
    /// The start of authority.
    pub struct SoaSettings {
        /// Primary name server; empty for the first of ns, or the zone's name if ns is empty.
        mname: String = String::new();
        /// Mailbox of the person in charge, as a name; empty for hostmaster.<zone>.
        rname: String = String::new();
        /// Serial number: the version of the zone's configured records.
        serial: u32 = 1;
        /// How often secondaries that run other software check for a new version.
        refresh_secs: u32 = 7200, in 60..=WEEK_SECS, SECONDARY;
        /// How long they wait after a failed check.
        retry_secs: u32 = 900, in 60..=WEEK_SECS, SECONDARY;
        /// How long they answer without a successful check.
        expire_secs: u32 = 1_209_600, in 3600..=52 * WEEK_SECS, SECONDARY;
        /// How long "no such name" may be cached (RFC 2308, section 4): an endpoint that a client
        /// looked up before it published stays invisible for this long.
        minimum_secs: u32 = 60, in 1..=NEGATIVE_TTL_SECS_MAX,
            "an endpoint that a client looked up before it published stays invisible this long";
    }
}

const SECONDARY: &str = "secondaries that run other software expect a time in this range";

impl OriginSettings {
    /// Builds the zone; `None` if its name is invalid. Adds all errors and warnings to `findings`,
    /// and leaves invalid records out of the zone.
    pub(crate) fn zone(&self, key: &KeyPath, findings: &mut Findings) -> Option<Origin> {
        let name = read_name(&key.key("name"), &self.name, findings)?;
        let key_of_ns = key.key("ns");
        let servers = self.ns.iter().enumerate();
        let ns: Vec<WireName> = servers
            .filter_map(|(at, ns)| read_name(&key_of_ns.index(at), ns, findings))
            .collect();
        if self.ns.is_empty() {
            let reason = "no name server is listed: the parent zone cannot delegate to this zone, and \
                          resolvers that query its name servers find none";
            findings.warning(key_of_ns.clone(), reason);
        }
        if self.ttl_secs_min > self.ttl_secs_max {
            let reason = format!(
                "{} is larger than ttl_secs_max ({})",
                self.ttl_secs_min, self.ttl_secs_max
            );
            findings.error(key.key("ttl_secs_min"), reason);
        }
        let ns_data = ns.iter().map(|ns| Bytes::copy_from_slice(ns.as_bytes()));
        let mut records = vec![self.set(&name, RecordType::NS, ns_data)];
        let apex_addresses = self.a.iter().map(|a| IpAddr::V4(*a));
        let apex_addresses = apex_addresses.chain(self.aaaa.iter().map(|aaaa| IpAddr::V6(*aaaa)));
        records.extend(apex_addresses.map(|address| self.address(&name, address)));
        for (server, addresses) in &self.ns_addresses {
            let key = key.key("ns_addresses").key(server);
            let Some(server) = read_name(&key, server, findings) else {
                continue;
            };
            let addresses = addresses.iter();
            let sets: Vec<_> = addresses.map(|ip| self.address(&server, *ip)).collect();
            match sets.iter().try_for_each(|set| set.check_in(&name)) {
                Err(error) => findings.error(key.clone(), error.to_string()),
                Ok(()) if ns.contains(&server) => {}
                Ok(()) => findings.error(key.clone(), format!("{server} is not listed in ns")),
            }
            if sets.is_empty() {
                findings.error(key, "no address is listed");
            }
            records.extend(sets);
        }
        for (at, server) in ns.iter().enumerate() {
            let is_inside = server.labels_in(&name).is_some();
            if is_inside && !records.iter().any(|set| is_address_of(set, server)) {
                let reason = format!(
                    "{server} is inside the zone but has no address in ns_addresses: resolvers \
                     may not find it"
                );
                findings.warning(key_of_ns.index(at), reason);
            }
        }
        self.read_records(&name, key, &mut records, findings);
        records.retain(|set| !set.records.rdata.is_empty());
        let sets = record_sets(records);
        if let Err(error) = check_together(&name, &sets) {
            findings.error(key.clone(), error.to_string());
        }
        Some(Origin {
            soa: self.soa.soa(&key.key("soa"), &name, ns.first(), findings),
            soa_ttl_secs: self.ttl_secs,
            name,
            sets,
            ttl_secs_min: self.ttl_secs_min,
            ttl_secs_max: self.ttl_secs_max,
            dht: self.dht,
        })
    }

    /// Reads the records in zone file form, from `records` and from `zone_file`.
    fn read_records(
        &self,
        zone: &WireName,
        key: &KeyPath,
        records: &mut Vec<NamedSet>,
        findings: &mut Findings,
    ) {
        let parse = |text: &str| quorate_zone::file::parse(text, zone, self.ttl_secs);
        let mut add = |parsed: Vec<(usize, NamedSet)>| {
            records.extend(parsed.into_iter().map(|(_, set)| set));
        };
        for (at, line) in self.records.iter().enumerate() {
            match parse(line) {
                Ok(parsed) => add(parsed),
                Err(error) => findings.error(key.key("records").index(at), error.reason),
            }
        }
        if !self.zone_file.as_os_str().is_empty() {
            let text = read_zone_file(&self.zone_file);
            match text.and_then(|text| parse(&text).map_err(|error| error.to_string())) {
                Ok(parsed) => add(parsed),
                Err(reason) => {
                    let reason = format!("{}: {reason}", self.zone_file.display());
                    findings.error(key.key("zone_file"), reason);
                }
            }
        }
    }

    fn set(
        &self,
        owner: &WireName,
        record_type: RecordType,
        rdata: impl IntoIterator<Item = Bytes>,
    ) -> NamedSet {
        NamedSet {
            owner: owner.clone(),
            record_type: record_type.into(),
            records: RecordSet {
                ttl_secs: self.ttl_secs,
                rdata: rdata.into_iter().collect(),
            },
        }
    }

    fn address(&self, owner: &WireName, address: IpAddr) -> NamedSet {
        let (record_type, data) = match address {
            IpAddr::V4(ip) => (RecordType::A, Bytes::copy_from_slice(&ip.octets())),
            IpAddr::V6(ip) => (RecordType::AAAA, Bytes::copy_from_slice(&ip.octets())),
        };
        self.set(owner, record_type, [data])
    }
}

fn is_address_of(set: &NamedSet, server: &WireName) -> bool {
    let types = [RecordType::A, RecordType::AAAA].map(u16::from);
    set.owner == *server && types.contains(&set.record_type)
}

impl SoaSettings {
    fn soa(
        &self,
        key: &KeyPath,
        name: &WireName,
        ns: Option<&WireName>,
        findings: &mut Findings,
    ) -> Soa {
        let mut configured_name = |field, text: &str| {
            let text = (!text.is_empty()).then_some(text)?;
            read_name(&key.key(field), text, findings)
        };
        // If the name is too long for one more label, the name itself.
        let hostmaster = || parse_name("hostmaster", name).unwrap_or_else(|_| name.clone());
        Soa {
            mname: configured_name("mname", &self.mname)
                .unwrap_or_else(|| ns.unwrap_or(name).clone()),
            rname: configured_name("rname", &self.rname).unwrap_or_else(hostmaster),
            serial: self.serial,
            refresh_secs: self.refresh_secs,
            retry_secs: self.retry_secs,
            expire_secs: self.expire_secs,
            minimum_secs: self.minimum_secs,
        }
    }
}

fn read_zone_file(path: &Path) -> Result<String, String> {
    let unreadable = |error: std::io::Error| format!("it cannot be read: {error}");
    let mut text = String::new();
    let file = File::open(path).map_err(unreadable)?;
    let mut file = file.take(ZONE_FILE_SIZE_MAX + 1);
    file.read_to_string(&mut text).map_err(unreadable)?;
    match text.len() as u64 > ZONE_FILE_SIZE_MAX {
        true => Err(format!("it has more than {ZONE_FILE_SIZE_MAX} bytes")),
        false => Ok(text),
    }
}

/// Parses a domain name, with or without its final dot. Adds errors to `findings`.
fn read_name(key: &KeyPath, text: &str, findings: &mut Findings) -> Option<WireName> {
    if text.is_empty() {
        let reason = "it is missing; write a domain name such as \"dns.example.org.\"";
        findings.error(key.clone(), reason);
        return None;
    }
    let name = parse_name(text, &WireName::root());
    name.map_err(|error| findings.error(key.clone(), error.to_string()))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_has_a_default_start_of_authority() {
        let mut settings = OriginSettings {
            name: "Quorate.test".into(),
            ..OriginSettings::default()
        };
        let zone = |settings: &OriginSettings| {
            settings
                .zone(&KeyPath::default(), &mut Findings::default())
                .unwrap()
        };
        let origin = zone(&settings);
        assert_eq!(origin.name.to_string(), "quorate.test.");
        assert_eq!(origin.soa.mname, origin.name);
        assert_eq!(origin.soa.rname.to_string(), "hostmaster.quorate.test.");
        assert!(origin.sets.is_empty());
        settings.ns = vec!["ns1.example.org".into()];
        assert_eq!(zone(&settings).soa.mname.to_string(), "ns1.example.org.");
    }
}
