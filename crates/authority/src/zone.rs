//! One origin: what configuration puts there, and where the keys begin.

use std::sync::Arc;

use hickory_proto::{
    op::Query,
    rr::{Name, RData, Record, RecordType, rdata},
};
use quorate_packet::PublicKey;

use crate::{
    Answer, KeyQuestion, Located, NEGATIVE_TTL_SECS_MAX, Origin, Soa,
    answer::{any_stand_in, record_set},
};

/// An origin, ready to answer.
#[derive(Debug)]
pub(crate) struct Zone {
    name: Name,
    label_count: usize,
    /// The names that configuration knows, the apex first. Those of inner origins have no records
    /// here: questions about them go to their own zone, but the names above them exist.
    nodes: Vec<Node>,
    /// The SOA of negative answers, with their TTL.
    soa: Arc<Record>,
}

#[derive(Debug)]
struct Node {
    name: Name,
    records: Vec<Record>,
}

impl Zone {
    /// The zone of a checked origin, and the origins inside it.
    pub(crate) fn new(origin: Origin, inner: Vec<Name>) -> Self {
        let soa = soa_record(&origin.name, &origin.soa, origin.soa_ttl_secs);
        let negative_ttl = origin.soa_ttl_secs.min(origin.soa.minimum_secs);
        let mut negative = soa.clone();
        negative.ttl = negative_ttl.min(NEGATIVE_TTL_SECS_MAX);

        let inner = inner.into_iter().map(|name| Node {
            name,
            records: Vec::new(),
        });
        Self {
            label_count: origin.name.iter().len(),
            nodes: configured(&origin, soa).into_iter().chain(inner).collect(),
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

    pub(crate) fn no_such_name(&self, aliases: Vec<Record>) -> Answer {
        let soa = self.soa.clone();
        Answer::NoSuchName { aliases, soa }
    }

    /// Finds who can answer a question about a name in this zone.
    pub(crate) fn locate<'a>(&'a self, question: &'a Query) -> Located<'a> {
        let above = question.name().iter().rev().nth(self.label_count);
        match above.map(PublicKey::parse_z32) {
            Some(Ok(key)) => Located::Key(KeyQuestion::new(self, question, key)),
            _ => Located::Answer(self.configured_answer(question.name(), question.query_type())),
        }
    }

    fn configured_answer(&self, name: &Name, record_type: RecordType) -> Answer {
        if let Some(node) = self.nodes.iter().find(|node| node.name == *name) {
            if record_type == RecordType::ANY && !node.records.is_empty() {
                return Answer::Records(any_stand_in(name));
            }
            let set = record_set(node.records.iter(), record_type, name);
            return match set.is_empty() {
                false => Answer::Records(set),
                true => self.no_data(Vec::new()),
            };
        }
        if self.nodes.iter().any(|node| name.zone_of(&node.name)) {
            return self.no_data(Vec::new());
        }
        // The root has names that others serve: to deny google.com would be a lie.
        if self.name.is_root() {
            return Answer::Refused;
        }
        self.no_such_name(Vec::new())
    }
}

fn configured(origin: &Origin, soa: Record) -> Vec<Node> {
    let record = |name: &Name, data| Record::from_rdata(name.clone(), origin.ttl_secs, data);
    let ns = origin.ns.iter().cloned();
    let ns = ns.map(|ns| record(&origin.name, RData::NS(rdata::NS(ns))));
    let a = origin.a.iter().map(|a| RData::A((*a).into()));
    let aaaa = origin.aaaa.iter().map(|aaaa| RData::AAAA((*aaaa).into()));
    let addresses = a.chain(aaaa).map(|data| record(&origin.name, data));

    let mut apex = Node {
        name: origin.name.clone(),
        records: std::iter::once(soa).chain(ns).chain(addresses).collect(),
    };
    let mut servers = Vec::new();
    for (name, addresses) in &origin.ns_addresses {
        let addresses = addresses.iter().map(|ip| record(name, (*ip).into()));
        if *name == origin.name {
            apex.records.extend(addresses);
        } else {
            servers.push(Node {
                name: name.clone(),
                records: addresses.collect(),
            });
        }
    }
    std::iter::once(apex).chain(servers).collect()
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
