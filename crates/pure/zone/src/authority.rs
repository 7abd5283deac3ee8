//! All origins of a server, and the lookup of the zone that answers a question.

use crate::{
    Answer, AnswerKind, Origin, OriginError, PacketLookup, Question, message::CLASS_IN,
    rdata::types, resolver::Resolver, zone::Zone, zone_data::ZoneData,
};

/// The origins of a server.
#[derive(Debug)]
pub struct Authority {
    /// The longest names first, so that the first zone that contains a name is the closest one.
    zones: Vec<Zone>,
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
    /// Checks the origins. Their order does not matter.
    pub fn new(mut origins: Vec<Origin>) -> Result<Self, OriginError> {
        origins.sort_by_key(|origin| std::cmp::Reverse(origin.name.labels().count()));
        let mut zones = Vec::with_capacity(origins.len());
        for (index, origin) in origins.iter().enumerate() {
            let longer = &origins[..index];
            origin.check(longer)?;
            let is_inner = |inner: &&Origin| inner.name.labels_in(&origin.name).is_some();
            let inner = longer.iter().filter(is_inner);
            let inner: Vec<&Origin> = inner.collect();
            zones.push(Zone::new(index, origin, &inner)?);
        }
        Ok(Self { zones })
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
        let is_above = |above: &&Zone| above.key(name).is_none();
        let is_ds_of = |zone: &Zone| {
            question.record_type() == types::DS && name.label_count() == zone.label_count()
        };
        let zone = match closest {
            Some(zone) if is_ds_of(zone) => zones.next().filter(is_above).or(closest),
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
