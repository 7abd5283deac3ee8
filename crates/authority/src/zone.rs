//! One origin: what configuration puts there, and where the keys begin.

use std::{collections::BTreeMap, sync::Arc};

use hickory_proto::rr::{Name, RData, Record, RecordType, rdata};
use quorate_packet::PublicKey;

use crate::{
    answer::{Answer, record_set},
    origin::{NEGATIVE_TTL_SECS_MAX, Origin, Soa},
};

/// An origin, ready to answer.
#[derive(Debug)]
pub(crate) struct Zone {
    name: Name,
    label_count: usize,
    /// What stands at the names that configuration knows. Those of inner origins have no records
    /// here: questions about them go to their own zone, but the names above them exist.
    nodes: BTreeMap<Name, Vec<Record>>,
    /// The SOA of negative answers, with their TTL.
    soa: Arc<Record>,
}

impl Zone {
    /// The zone of a checked origin, and the origins inside it.
    pub(crate) fn new(origin: Origin, inner: Vec<Name>) -> Self {
        let soa = soa_record(&origin.name, &origin.soa, origin.soa_ttl_secs);
        let negative_ttl = origin.soa_ttl_secs.min(origin.soa.minimum_secs);
        let mut negative = soa.clone();
        negative.ttl = negative_ttl.min(NEGATIVE_TTL_SECS_MAX);

        let record = |name: &Name, data| Record::from_rdata(name.clone(), origin.ttl_secs, data);
        let ns = origin.ns.into_iter().map(|ns| RData::NS(rdata::NS(ns)));
        let a = origin.a.into_iter().map(|a| RData::A(a.into()));
        let aaaa = origin.aaaa.into_iter().map(|a| RData::AAAA(a.into()));
        let apex = ns.chain(a).chain(aaaa);
        let apex = apex.map(|data| record(&origin.name, data));
        let apex: Vec<Record> = std::iter::once(soa).chain(apex).collect();

        let mut nodes = BTreeMap::from([(origin.name.clone(), apex)]);
        for (server, addresses) in origin.ns_addresses {
            let addresses = addresses.into_iter().map(|ip| record(&server, ip.into()));
            let addresses: Vec<Record> = addresses.collect();
            nodes.entry(server).or_default().extend(addresses);
        }
        nodes.extend(inner.into_iter().map(|name| (name, Vec::new())));
        Self {
            label_count: origin.name.iter().len(),
            nodes,
            name: origin.name,
            soa: Arc::new(negative),
        }
    }

    pub(crate) fn name(&self) -> &Name {
        &self.name
    }

    pub(crate) fn label_count(&self) -> usize {
        self.label_count
    }

    pub(crate) fn no_data(&self, aliases: Vec<Record>) -> Answer {
        let soa = self.soa.clone();
        Answer::NoData { aliases, soa }
    }

    pub(crate) fn nxdomain(&self, aliases: Vec<Record>) -> Answer {
        let soa = self.soa.clone();
        Answer::NxDomain { aliases, soa }
    }

    /// The key below which a name in this zone lies, if it lies below one.
    pub(crate) fn key(&self, name: &Name) -> Option<PublicKey> {
        let above = name.iter().rev().nth(self.label_count)?;
        PublicKey::parse_z32(above).ok()
    }

    /// What configuration answers about a name in this zone that lies below no key.
    pub(crate) fn answer(&self, name: &Name, record_type: RecordType) -> Answer {
        if let Some(records) = self.nodes.get(name) {
            let set = record_set(records.iter(), record_type, name);
            return match set.is_empty() {
                false => Answer::Records(set),
                true => self.no_data(Vec::new()),
            };
        }
        if self.nodes.keys().any(|node| name.zone_of(node)) {
            return self.no_data(Vec::new());
        }
        // The root has names that others serve: to deny google.com would be a lie.
        if self.name.is_root() {
            return Answer::Refused;
        }
        self.nxdomain(Vec::new())
    }
}

fn soa_record(origin: &Name, soa: &Soa, ttl_secs: u32) -> Record {
    let signed = |secs| i32::try_from(secs).expect("Origin::check bounds every time");
    let data = rdata::SOA::new(
        soa.mname.clone(),
        soa.rname.clone(),
        soa.serial,
        signed(soa.refresh_secs),
        signed(soa.retry_secs),
        signed(soa.expire_secs),
        soa.minimum_secs,
    );
    Record::from_rdata(origin.clone(), ttl_secs, RData::SOA(data))
}
