//! All origins of a server, and the lookup of the zone that answers a question.

use std::{cmp::Reverse, sync::Arc};

use quorate_state::WireName;

use crate::{
    Answer, AnswerKind, Origin, OriginError, PacketLookup, Question, message::CLASS_IN,
    rdata::types, resolver::Resolver, zone::Zone, zone_data::ZoneData,
};

/// The origins of a server. Clones share the compiled zones.
#[derive(Debug, Clone)]
pub struct Authority {
    /// The longest names first, so that the first zone that contains a name is the closest one.
    zones: Vec<Arc<Zone>>,
}

/// The result of [`Authority::lookup`].
#[derive(Debug)]
pub enum LookupResult<'a> {
    /// Configuration decides the answer.
    Answer(Answer<'a>),
    /// The packet of a key decides the answer.
    NeedsPacket(PacketLookup<'a>),
}

impl Authority {
    /// Checks the origins and compiles their records. The order of the origins does not matter.
    ///
    /// # Errors
    /// An origin is given twice, or has records that it may not have.
    pub fn new(mut origins: Vec<Origin>) -> Result<Self, OriginError> {
        origins.sort_by_key(|origin| Reverse(origin.name.labels().count()));
        let mut authority = Self {
            zones: Vec::with_capacity(origins.len()),
        };
        for (index, origin) in origins.iter().enumerate() {
            let zone = authority.compile(index, origin)?;
            authority.zones.push(zone);
        }
        Ok(authority)
    }

    /// Replaces the records of the origin with this name. Only its zone is compiled; a clone made
    /// before keeps the old zone, and shares the others.
    ///
    /// # Errors
    /// There is no origin of this name, or it has records that it may not have. Then nothing
    /// changes.
    pub fn replace(&mut self, origin: &Origin) -> Result<(), OriginError> {
        let index = self.zones.iter().position(|zone| zone.name == origin.name);
        let index = index.ok_or_else(|| OriginError::Unknown(origin.name.clone()))?;
        self.zones[index] = self.compile(index, origin)?;
        Ok(())
    }

    /// Compiles the origin with this index. The zones before it have names of the same length, or
    /// longer ones.
    fn compile(&self, index: usize, origin: &Origin) -> Result<Arc<Zone>, OriginError> {
        let longer: Vec<&WireName> = self.zones[..index].iter().map(|zone| &zone.name).collect();
        origin.check(&longer)?;
        let is_inner = |inner: &&WireName| inner.labels_in(&origin.name).is_some();
        let inner: Vec<&WireName> = longer.into_iter().filter(is_inner).collect();
        Ok(Arc::new(Zone::new(index, origin, &inner)?))
    }

    /// The names of the origins, in lower case, in the order that `origin_index` refers to.
    pub fn origins(&self) -> impl ExactSizeIterator<Item = String> {
        self.zones.iter().map(|zone| zone.name.to_string())
    }

    /// Answers `question`, or returns the key whose packet is needed for that.
    ///
    /// Only the class IN is served. Zone transfers are answered with REFUSED (RFC 5936, section
    /// 2.2.1, allows that).
    pub fn lookup<'a>(&'a self, question: &'a Question<'a>) -> LookupResult<'a> {
        let name = question.name_ref();
        let is_served = question.class() == CLASS_IN
            && !matches!(question.record_type(), types::AXFR | types::IXFR);
        let zones = self.zones.iter().filter(|_| is_served);
        let mut zones =
            zones.filter(|zone| name.is_within(zone.name.as_bytes(), zone.label_count()));
        let closest = zones.next();
        // The DS records of a zone are in the zone above it (RFC 4035, section 3.1.4.1).
        let is_parent = |above: &&Arc<Zone>| above.is_parent_of(name);
        let is_ds_of = |zone: &Zone| {
            question.record_type() == types::DS && name.label_count() == zone.label_count()
        };
        let zone = match closest {
            Some(zone) if is_ds_of(zone) => zones.next().filter(is_parent).or(closest),
            _ => closest,
        };
        let Some(zone) = zone else {
            return LookupResult::Answer(Answer::empty(AnswerKind::Refused, None));
        };
        match zone.key(name) {
            Some(key) => LookupResult::NeedsPacket(PacketLookup {
                zone,
                question,
                key,
            }),
            None => {
                let resolver = Resolver::new(question, ZoneData::of_origin(zone));
                LookupResult::Answer(resolver.resolve())
            }
        }
    }
}

#[cfg(test)]
#[path = "authority_tests.rs"]
mod tests;
