//! A zone under which records are served, as it is configured.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use hickory_proto::rr::Name;
use quorate_authority::{NEGATIVE_TTL_SECS_MAX, Origin, Soa, TTL_SECS_MAX};
use quorate_setting::{Findings, KeyPath, settings};

const WEEK_SECS: u32 = 7 * 24 * 3600;

settings! {
    /// A zone under which records are served, and what stands at its apex.
    pub struct OriginSettings {
        /// The zone, "." for the root.
        name: String = String::new();
        /// The zone's name servers, as the zone above delegates to them.
        ns: Vec<String> = Vec::new();
        /// The IPv4 addresses of the zone's own name.
        a: Vec<Ipv4Addr> = Vec::new();
        /// The IPv6 addresses of the zone's own name.
        aaaa: Vec<Ipv6Addr> = Vec::new();
        /// How long resolvers may keep these.
        ttl_secs: u32 = 3600, in 1..=WEEK_SECS, "resolvers keep a mistake this long";
        /// The start of authority (RFC 1035, section 3.3.13).
        soa: SoaSettings = SoaSettings::default();
        /// The addresses of those name servers whose names lie inside the zone.
        ns_addresses: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
    }
}

settings! {
    /// The start of authority.
    pub struct SoaSettings {
        /// The primary name server; empty for the first of ns, or the zone itself.
        mname: String = String::new();
        /// The mailbox of whom to ask, as a name; empty for hostmaster.<zone>.
        rname: String = String::new();
        /// The version of the zone's apex.
        serial: u32 = 1;
        /// How often secondaries of other software look for a new version.
        refresh_secs: u32 = 7200, in 60..=WEEK_SECS, SECONDARY;
        /// How long they wait after a look that failed.
        retry_secs: u32 = 900, in 60..=WEEK_SECS, SECONDARY;
        /// How long they answer without a look that succeeded.
        expire_secs: u32 = 1_209_600, in 3600..=52 * WEEK_SECS, SECONDARY;
        /// How long "no such name" may be cached (RFC 2308, section 4): an endpoint that was asked
        /// for before it published stays invisible this long.
        minimum_secs: u32 = 60, in 1..=NEGATIVE_TTL_SECS_MAX,
            "an endpoint that was asked for before it published stays invisible this long";
    }
}

const SECONDARY: &str = "secondaries of any other software expect a time in this range";

impl OriginSettings {
    /// The zone, if its name can be read. `findings` gets to know all that is wrong or doubtful;
    /// what is wrong is left out of the zone.
    pub(crate) fn zone(&self, key: &KeyPath, findings: &mut Findings) -> Option<Origin> {
        let name = parse_name(&key.key("name"), &self.name, findings)?;
        let key_of_ns = key.key("ns");
        let servers = self.ns.iter().enumerate();
        let ns: Vec<Name> = servers
            .filter_map(|(at, ns)| parse_name(&key_of_ns.index(at), ns, findings))
            .collect();
        let mut ns_addresses = BTreeMap::new();
        for (server, addresses) in &self.ns_addresses {
            let key = key.key("ns_addresses").key(server);
            let Some(server) = parse_name(&key, server, findings) else {
                continue;
            };
            if !name.zone_of(&server) {
                let reason =
                    format!("{server} lies outside {name}, so its addresses are not ours to give");
                findings.error(key.clone(), reason);
            } else if !ns.contains(&server) {
                findings.error(key.clone(), format!("{server} is not in the list ns"));
            }
            if addresses.is_empty() {
                findings.error(key, "it lists no address");
            }
            ns_addresses.insert(server, addresses.clone());
        }
        let apex_has_address = !(self.a.is_empty() && self.aaaa.is_empty());
        for (at, server) in ns.iter().enumerate() {
            let has_address =
                ns_addresses.contains_key(server) || (*server == name && apex_has_address);
            if name.zone_of(server) && !has_address {
                let reason = format!(
                    "{server} lies inside the zone and has no address in ns_addresses: resolvers \
                     may not find it"
                );
                findings.warning(key_of_ns.index(at), reason);
            }
        }
        Some(Origin {
            soa: self.soa.soa(&key.key("soa"), &name, ns.first(), findings),
            soa_ttl_secs: self.ttl_secs,
            name,
            ns,
            a: self.a.clone(),
            aaaa: self.aaaa.clone(),
            ttl_secs: self.ttl_secs,
            ns_addresses,
            records: Vec::new(),
            ttl_secs_min: 0,
            ttl_secs_max: TTL_SECS_MAX,
        })
    }
}

impl SoaSettings {
    fn soa(&self, key: &KeyPath, name: &Name, ns: Option<&Name>, findings: &mut Findings) -> Soa {
        let mut written = |field, text: &str| {
            let text = (!text.is_empty()).then_some(text)?;
            parse_name(&key.key(field), text, findings)
        };
        // Of a name too long for a label more, the name itself.
        let hostmaster = || {
            name.prepend_label("hostmaster")
                .unwrap_or_else(|_| name.clone())
        };
        Soa {
            mname: written("mname", &self.mname).unwrap_or_else(|| ns.unwrap_or(name).clone()),
            rname: written("rname", &self.rname).unwrap_or_else(hostmaster),
            serial: self.serial,
            refresh_secs: self.refresh_secs,
            retry_secs: self.retry_secs,
            expire_secs: self.expire_secs,
            minimum_secs: self.minimum_secs,
        }
    }
}

/// Parses a domain name, with or without its last dot, to lower case.
fn parse_name(key: &KeyPath, text: &str, findings: &mut Findings) -> Option<Name> {
    if text.is_empty() {
        let reason = "it is missing; write a domain name such as \"dns.example.org.\"";
        findings.error(key.clone(), reason);
        return None;
    }
    match Name::from_ascii(text) {
        Ok(name) => {
            let mut name = name.to_lowercase();
            name.set_fqdn(true);
            Some(name)
        }
        Err(error) => {
            findings.error(key.clone(), format!("{text:?} is no domain name: {error}"));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_has_a_start_of_authority_without_being_told() {
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
        settings.ns = vec!["ns1.example.org".into()];
        assert_eq!(zone(&settings).soa.mname.to_string(), "ns1.example.org.");
    }
}
