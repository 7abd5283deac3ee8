//! Questions that the packet of a key answers.

use hickory_proto::{
    op::Query,
    rr::{Name, RData, Record, RecordType, rdata},
    serialize::binary::DecodeError,
};
use quorate_packet::PublicKey;

use crate::{
    Answer, CompiledPacket,
    answer::record_set,
    cut::Cut,
    key_zone::{KeyZone, is_key},
    zone::Zone,
};

/// How many aliases are followed in one answer: more than any honest zone has, few enough that a
/// hostile one is cheap.
pub const ALIAS_COUNT_MAX: usize = 8;

/// A question about a key's zone, `<z32>.<origin>`.
#[derive(Debug)]
pub struct KeyQuestion<'a> {
    zone: &'a Zone,
    question: &'a Query,
    key: PublicKey,
}

/// A stored packet cannot be decoded, though it could be when it came.
#[derive(Debug, thiserror::Error)]
#[error("the stored packet of {key} cannot be decoded: it may be of a newer version, or damaged")]
pub struct UndecodableError {
    /// The signer.
    pub key: PublicKey,
    /// What is wrong with the packet.
    pub source: DecodeError,
}

impl<'a> KeyQuestion<'a> {
    pub(crate) fn new(zone: &'a Zone, question: &'a Query, key: PublicKey) -> Self {
        Self {
            zone,
            question,
            key,
        }
    }

    /// The key whose packet is needed.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The answer, given the packet of [`key`](Self::key) or that there is none.
    pub fn answer(&self, compiled: Option<&CompiledPacket>) -> Result<Answer, UndecodableError> {
        let Some(packet) = compiled.map(CompiledPacket::packet) else {
            return Ok(self.zone.nxdomain(Vec::new()));
        };
        debug_assert_eq!(packet.key(), &self.key);
        match KeyZone::decode(packet) {
            Ok(records) => Ok(self.resolve(&records)),
            Err(source) => Err(UndecodableError {
                key: self.key,
                source,
            }),
        }
    }

    /// The algorithm of RFC 1034, section 4.3.2, from step 3 on.
    fn resolve(&self, records: &KeyZone) -> Answer {
        let record_type = self.question.query_type();
        let mut answers = Vec::new();
        let mut owner = self.question.name().clone();
        loop {
            let labels = self.labels_above_key(&owner);
            if let Some(cut) = records.cut(&labels, record_type) {
                return self.refer(answers, &owner, &cut, records);
            }
            let Some(node) = records.node(&labels) else {
                return self.zone.nxdomain(answers);
            };
            if record_type != RecordType::CNAME {
                let set = record_set(node.iter().copied(), record_type, &owner);
                if !set.is_empty() {
                    answers.extend(set);
                    return Answer::Records(answers);
                }
            }
            // A name has one alias at most (RFC 2181, section 10.1).
            let aliases = record_set(node.into_iter(), RecordType::CNAME, &owner);
            let Some(mut alias) = aliases.into_iter().next() else {
                return self.zone.no_data(answers);
            };
            let target = match &mut alias.data {
                RData::CNAME(rdata::CNAME(target)) => self.follow(target),
                _ => None,
            };
            answers.push(alias);
            if record_type == RecordType::CNAME {
                return Answer::Records(answers);
            }
            match target {
                Some(target) if is_new(&answers, &target) => owner = target,
                _ => return Answer::Records(answers),
            }
        }
    }

    /// Refers to the servers of a cut at or above `owner`.
    fn refer(&self, aliases: Vec<Record>, owner: &Name, cut: &Cut<'_>, zone: &KeyZone) -> Answer {
        let mut servers: Vec<Record> = cut.servers.iter().copied().cloned().collect();
        let mut targets = Vec::new();
        for server in &mut servers {
            if let RData::NS(rdata::NS(target)) = &mut server.data {
                targets.extend(self.follow(target));
            }
        }
        let cut_name = owner.trim_to(self.zone.label_count() + 1 + cut.depth);
        targets.retain(|target| cut_name.zone_of(target));
        Answer::Referral {
            aliases,
            servers: record_set(servers.iter(), RecordType::NS, &cut_name),
            glue: self.glue(&targets, zone),
        }
    }

    /// The addresses of servers in the key's zone.
    fn glue(&self, targets: &[Name], zone: &KeyZone) -> Vec<Record> {
        let mut glue = Vec::new();
        for (at, target) in targets.iter().enumerate() {
            if targets[..at].contains(target) {
                continue;
            }
            let labels = self.labels_above_key(target);
            let records = zone.exactly_at(&labels);
            for record_type in [RecordType::A, RecordType::AAAA] {
                glue.extend(record_set(records.clone(), record_type, target));
            }
        }
        glue
    }

    /// The labels of a name in the key's zone left of the key, from the right.
    fn labels_above_key<'n>(&self, name: &'n Name) -> Vec<&'n [u8]> {
        let labels = name.iter().rev().skip(self.zone.label_count() + 1);
        labels.collect()
    }

    /// Where an alias or a cut leads, if that is inside the key's zone.
    ///
    /// In a packet the key's zone has no origin yet: the target is changed to what it is under the
    /// origin that was asked, where alone it leads somewhere. Other data is never touched.
    fn follow(&self, target: &mut Name) -> Option<Name> {
        if is_key(target.iter().next_back(), &self.key) {
            *target = self.under_origin(target)?;
            return Some(target.clone());
        }
        let inside = self.zone.name().zone_of(target) && self.zone.key(target) == Some(self.key);
        inside.then(|| target.clone())
    }

    /// `<label…>.<z32>` as `<label…>.<z32>.<origin>`, unless that is too long for a name.
    fn under_origin(&self, name: &Name) -> Option<Name> {
        let key_zone = self.question.name().trim_to(self.zone.label_count() + 1);
        let labels = name.iter().take(name.iter().len() - 1);
        Name::from_labels(labels.chain(&key_zone)).ok()
    }
}

/// Whether an alias leads on, and not around in a circle.
fn is_new(answers: &[Record], target: &Name) -> bool {
    answers.len() < ALIAS_COUNT_MAX && !answers.iter().any(|record| record.name == *target)
}

#[cfg(test)]
#[path = "key_question_tests.rs"]
mod tests;
