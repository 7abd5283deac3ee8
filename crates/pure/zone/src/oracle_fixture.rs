//! A slow reference implementation: it answers from decoded records and complete names, and
//! searches all records for every step. Tests compare its answers with those of the trees.

use std::collections::BTreeSet;

use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType, rdata::NULL};
use quorate_packet::PublicKey;
use quorate_state::is_data_type;

use crate::{
    ALIAS_COUNT_MAX, AnswerKind,
    fixture::{line, wire_name, wire_to_name},
};

/// A zone of records with absolute names.
pub(crate) struct Oracle {
    pub(crate) origin: Name,
    apex: Name,
    is_key_zone: bool,
    records: Vec<Record>,
}

/// The expected answer, as lines in lower case.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) kind: AnswerKind,
    pub(crate) answers: Vec<String>,
    pub(crate) authorities: Vec<String>,
    pub(crate) additionals: Vec<String>,
}

impl Oracle {
    /// The zone of a key under an origin.
    pub(crate) fn of_key(origin: &Name, key: &PublicKey, records: &[Record]) -> Self {
        let apex = name_of_key(key).append_name(origin).unwrap();
        let records = records.iter().filter(|record| {
            record.dns_class == DNSClass::IN && is_data_type(record.record_type().into())
        });
        let records = records.filter_map(|record| {
            let owner = under_origin(&record.name, key, origin)?;
            let data = with_target(&record.data, |target| {
                under_origin(target, key, origin).unwrap_or_else(|| target.clone())
            });
            Some(Record::from_rdata(owner, record.ttl, data))
        });
        Self {
            origin: origin.clone(),
            apex,
            is_key_zone: true,
            records: records.collect(),
        }
    }

    /// The zone of an origin.
    pub(crate) fn of_origin(origin: &Name, records: Vec<Record>) -> Self {
        Self {
            origin: origin.clone(),
            apex: origin.clone(),
            is_key_zone: false,
            records,
        }
    }

    /// The answer to a question about a name in the zone.
    pub(crate) fn answer(&self, qname: &Name, of_type: RecordType) -> Expected {
        let mut aliases = Vec::new();
        let mut owners = vec![qname.clone()];
        let mut followed = BTreeSet::new();
        loop {
            let name = owners[owners.len() - 1].clone();
            let mut lines = |records: &[Record]| aliases.extend(records.iter().map(line));
            let target = if let Some(cut) = self.cut(&name, of_type) {
                return self.referral(aliases, &cut);
            } else if let Some(dname) = self.dname(&name) {
                let set = self.set(&dname, RecordType::DNAME, &dname);
                if followed.insert(dname.clone()) {
                    lines(&set);
                }
                let target = target_of(&set[0].data).unwrap();
                let prefix = name.iter().take(name.iter().len() - dname.iter().len());
                let Ok(mut target) = Name::from_labels(prefix.chain(&target)) else {
                    return self.expected(AnswerKind::YxDomain, aliases);
                };
                target.set_fqdn(true);
                let cname = RData::CNAME(hickory_proto::rr::rdata::CNAME(target.clone()));
                lines(&[Record::from_rdata(name, set[0].ttl, cname)]);
                target
            } else {
                let Some(node) = self.node(&name, |_| true) else {
                    return self.negative(AnswerKind::NxDomain, aliases);
                };
                if of_type == RecordType::ANY {
                    if self.records.iter().any(|record| record.name == node) {
                        lines(&[crate::fixture::record(&format!(
                            "{name} 3600 HINFO RFC8482 \"\""
                        ))]);
                        return self.expected(AnswerKind::Records, aliases);
                    }
                } else {
                    let set = self.set(&node, of_type, &name);
                    if !set.is_empty() {
                        lines(&set);
                        let additionals = self.addresses(&set, |host| !self.is_hidden(host));
                        return Expected {
                            additionals,
                            ..self.expected(AnswerKind::Records, aliases)
                        };
                    }
                }
                let set = self.set(&node, RecordType::CNAME, &name);
                let Some(alias) = set.first() else {
                    return self.negative(AnswerKind::NoData, aliases);
                };
                lines(&set);
                target_of(&alias.data).unwrap()
            };
            let is_inside = self.apex.zone_of(&target)
                && (self.is_key_zone || !self.is_at_or_below_key(&target));
            if !is_inside || owners.contains(&target) || owners.len() >= ALIAS_COUNT_MAX {
                return self.expected(AnswerKind::Records, aliases);
            }
            owners.push(target);
        }
    }

    fn expected(&self, kind: AnswerKind, answers: Vec<String>) -> Expected {
        Expected {
            kind,
            answers,
            authorities: Vec::new(),
            additionals: Vec::new(),
        }
    }

    fn negative(&self, kind: AnswerKind, answers: Vec<String>) -> Expected {
        Expected {
            authorities: vec![format!("SOA {} 30", self.origin)],
            ..self.expected(kind, answers)
        }
    }

    fn referral(&self, answers: Vec<String>, cut: &Name) -> Expected {
        let servers = self.set(cut, RecordType::NS, cut);
        let mut additionals = self.addresses(&servers, |host| cut.zone_of(host));
        additionals.extend(self.addresses(&servers, |host| !cut.zone_of(host)));
        Expected {
            authorities: servers.iter().map(line).collect(),
            additionals,
            ..self.expected(AnswerKind::Referral, answers)
        }
    }

    fn has(&self, name: &Name, of_type: RecordType) -> bool {
        let mut records = self.records.iter();
        records.any(|record| record.name == *name && record.record_type() == of_type)
    }

    /// The names from the apex down to `name`.
    fn path(&self, name: &Name) -> Vec<Name> {
        let counts = self.apex.iter().len()..=name.iter().len();
        counts.map(|count| name.trim_to(count)).collect()
    }

    fn highest_cut(&self, name: &Name) -> Option<Name> {
        let mut path = self.path(name).into_iter().skip(1);
        path.find(|above| self.has(above, RecordType::NS))
    }

    fn highest_dname(&self, name: &Name) -> Option<Name> {
        let path = self.path(name);
        let mut above = path[..path.len() - 1].iter();
        above
            .find(|above| self.has(above, RecordType::DNAME))
            .cloned()
    }

    fn dname(&self, name: &Name) -> Option<Name> {
        self.highest_dname(name)
    }

    fn cut(&self, name: &Name, of_type: RecordType) -> Option<Name> {
        let dname = self.highest_dname(name);
        let asks_above = |cut: &Name| of_type == RecordType::DS && cut == name;
        if let Some(cut) = self.highest_cut(name)
            && !asks_above(&cut)
            && dname
                .as_ref()
                .is_none_or(|dname| dname.zone_of(&cut) == (*dname == cut))
        {
            return Some(cut);
        }
        let delegated = self.is_key_zone && self.has(&self.apex, RecordType::NS);
        let asks_for_ns = *name == self.apex && of_type == RecordType::NS;
        let is_answered_by_key_cut =
            asks_for_ns || self.node(name, |record| !self.is_key_cut(record)).is_none();
        (delegated && dname.is_none() && is_answered_by_key_cut && !asks_above(&self.apex))
            .then(|| self.apex.clone())
    }

    fn is_key_cut(&self, record: &Record) -> bool {
        let servers = self
            .records
            .iter()
            .filter(|record| record.record_type() == RecordType::NS && record.name == self.apex);
        let mut hosts = servers.filter_map(|server| target_of(&server.data));
        let of_cut = [RecordType::NS, RecordType::DS];
        (of_cut.contains(&record.record_type()) && record.name == self.apex)
            || record.record_type().is_ip_addr() && hosts.any(|host| host == record.name)
    }

    /// The owner of the records for `name`: itself or a wildcard; `None` if it does not exist.
    fn node(&self, name: &Name, counts: impl Fn(&Record) -> bool) -> Option<Name> {
        let exists = |name: &Name| {
            let mut records = self.records.iter().filter(|record| counts(record));
            records.any(|record| name.zone_of(&record.name))
        };
        let mut path = self.path(name).into_iter().rev();
        let encloser = path.find(|above| exists(above))?;
        if encloser == *name {
            return Some(encloser);
        }
        let wildcard = encloser.prepend_label("*").unwrap();
        exists(&wildcard).then_some(wildcard)
    }

    fn is_hidden(&self, name: &Name) -> bool {
        self.highest_cut(name).is_some() || self.highest_dname(name).is_some()
    }

    fn is_at_or_below_key(&self, name: &Name) -> bool {
        let label = name.iter().rev().nth(self.origin.iter().len());
        label.is_some_and(|label| PublicKey::parse_z32(label).is_ok())
    }

    fn set(&self, node: &Name, of_type: RecordType, owner: &Name) -> Vec<Record> {
        let records = self.records.iter();
        let of_set =
            records.filter(|record| record.name == *node && record.record_type() == of_type);
        let ttl = |ttl: u32| if ttl > i32::MAX as u32 { 0 } else { ttl };
        let ttl = of_set.clone().map(|record| ttl(record.ttl)).min();
        let mut set: Vec<Record> = Vec::new();
        for record in of_set {
            if !set.iter().any(|other| is_same(&other.data, &record.data)) {
                set.push(Record::from_rdata(
                    owner.clone(),
                    ttl.unwrap(),
                    record.data.clone(),
                ));
            }
        }
        if matches!(of_type, RecordType::CNAME | RecordType::DNAME) {
            set.truncate(1);
        }
        set
    }

    fn addresses(&self, set: &[Record], is_wanted: impl Fn(&Name) -> bool) -> Vec<String> {
        let mut hosts: Vec<Name> = Vec::new();
        let wants = |record: &&Record| {
            !matches!(record.record_type(), RecordType::CNAME | RecordType::DNAME)
        };
        for host in set
            .iter()
            .filter(wants)
            .filter_map(|record| target_of(&record.data))
        {
            let is_inside =
                self.apex.zone_of(&host) && (self.is_key_zone || !self.is_at_or_below_key(&host));
            if is_inside && is_wanted(&host) && !hosts.contains(&host) {
                hosts.push(host);
            }
        }
        let addresses = hosts.iter().flat_map(|host| {
            let types = [RecordType::A, RecordType::AAAA];
            types.map(|of_type| self.set(host, of_type, host))
        });
        addresses.flatten().map(|record| line(&record)).collect()
    }
}

fn name_of_key(key: &PublicKey) -> Name {
    Name::from_ascii(key.to_string()).unwrap()
}

/// Moves a name that ends in the bare key under an origin; `None` if it does not or is too long.
fn under_origin(name: &Name, key: &PublicKey, origin: &Name) -> Option<Name> {
    let last = name.iter().next_back()?;
    if PublicKey::parse_z32(last).as_ref() != Ok(key) {
        return None;
    }
    let mut name = Name::from_labels(name.iter().chain(origin)).ok()?;
    name.set_fqdn(true);
    Some(name)
}

/// The name in the data that DNS resolves next.
fn target_of(data: &RData) -> Option<Name> {
    let mut found = None;
    with_target(data, |target| {
        found = Some(target.clone());
        target.clone()
    });
    found
}

fn with_target(data: &RData, change: impl FnOnce(&Name) -> Name) -> RData {
    let mut data = data.clone();
    match &mut data {
        RData::CNAME(cname) => cname.0 = change(&cname.0),
        RData::NS(ns) => ns.0 = change(&ns.0),
        RData::MX(mx) => mx.exchange = change(&mx.exchange),
        RData::SRV(srv) => srv.target = change(&srv.target),
        RData::SVCB(svcb) => svcb.target_name = change(&svcb.target_name),
        RData::HTTPS(https) => https.0.target_name = change(&https.0.target_name),
        RData::Unknown {
            code: RecordType::DNAME,
            rdata,
        } => *rdata = NULL::with(wire_name(&change(&wire_to_name(&rdata.anything)))),
        _ => {}
    }
    data
}

fn is_same(a: &RData, b: &RData) -> bool {
    let lower = |data: &RData| with_target(data, Name::to_lowercase);
    lower(a) == lower(b)
}
