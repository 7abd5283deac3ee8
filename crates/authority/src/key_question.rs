//! Questions that the packet of a key answers.

use hickory_proto::{
    op::Query,
    rr::{Name, RData, Record, RecordType, rdata},
    serialize::binary::DecodeError,
};
use quorate_packet::{PublicKey, SignedPacket};

use crate::{
    Answer,
    answer::{any_stand_in, record_set},
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
    pub fn answer(&self, packet: Option<&SignedPacket>) -> Result<Answer, UndecodableError> {
        let Some(packet) = packet else {
            return Ok(self.zone.no_such_name(Vec::new()));
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
            let labels = owner.iter().rev().skip(self.zone.label_count() + 1);
            let labels: Vec<_> = labels.collect();
            let Some(node) = records.node(&labels) else {
                return self.zone.no_such_name(answers);
            };
            if record_type == RecordType::ANY && !node.is_empty() {
                return Answer::Records(any_stand_in(&owner));
            }
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
            let target = self.follow(&mut alias);
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

    /// Where an alias leads, if that is inside the key's zone.
    ///
    /// In a packet the key's zone has no origin yet: the alias is changed to point to its target
    /// under the origin that was asked, where alone it leads somewhere. Other data is never touched.
    fn follow(&self, alias: &mut Record) -> Option<Name> {
        let RData::CNAME(rdata::CNAME(target)) = &mut alias.data else {
            return None;
        };
        if is_key(target.iter().next_back(), &self.key) {
            *target = self.under_origin(target)?;
            return Some(target.clone());
        }
        let label = target.iter().rev().nth(self.zone.label_count());
        let inside = self.zone.name().zone_of(target) && is_key(label, &self.key);
        inside.then(|| target.clone())
    }

    /// `<label…>.<z32>` as `<label…>.<z32>.<origin>`, unless that is too long for a name.
    fn under_origin(&self, name: &Name) -> Option<Name> {
        let asked = self.question.name();
        let zone = asked
            .iter()
            .skip(asked.iter().len() - self.zone.label_count() - 1);
        let labels = name.iter().take(name.iter().len() - 1);
        Name::from_labels(labels.chain(zone)).ok()
    }
}

/// Whether an alias leads on, and not around in a circle.
fn is_new(answers: &[Record], target: &Name) -> bool {
    answers.len() < ALIAS_COUNT_MAX && !answers.iter().any(|record| record.name == *target)
}

#[cfg(test)]
#[path = "key_question_tests.rs"]
mod tests;
