//! All origins, and who can answer a question.

use hickory_proto::{
    op::Query,
    rr::{DNSClass, RecordType},
};

use crate::{Answer, KeyQuestion, Origin, OriginError, zone::Zone};

/// The origins of a server.
#[derive(Debug)]
pub struct Authority {
    /// The longest names first, so that the first zone that a name lies in is the one it belongs to.
    zones: Vec<Zone>,
}

/// Who can answer a question.
#[derive(Debug)]
pub enum Located<'a> {
    /// Configuration did.
    Answer(Answer),
    /// The packet of a key can.
    Key(KeyQuestion<'a>),
}

impl Authority {
    /// Checks the origins. Their order does not matter.
    pub fn new(origins: Vec<Origin>) -> Result<Self, OriginError> {
        let mut origins: Vec<_> = origins.into_iter().map(Origin::absolute).collect();
        origins.sort_by_key(|origin| std::cmp::Reverse(origin.name.iter().len()));
        let mut zones: Vec<Zone> = Vec::with_capacity(origins.len());
        for origin in origins {
            origin.check()?;
            for longer in &zones {
                check_pair(&origin, longer)?;
            }
            let inner = zones.iter().map(|zone| zone.name().clone());
            let inner = inner.filter(|inner| origin.name.zone_of(inner)).collect();
            zones.push(Zone::new(origin, inner));
        }
        Ok(Self { zones })
    }

    /// Finds who can answer `question`.
    ///
    /// Only the class IN is served, and zone transfers are not (RFC 5936, section 2.2.1, allows to
    /// refuse them).
    pub fn locate<'a>(&'a self, question: &'a Query) -> Located<'a> {
        let transfer = matches!(question.query_type(), RecordType::AXFR | RecordType::IXFR);
        if question.query_class() != DNSClass::IN || transfer {
            return Located::Answer(Answer::Refused);
        }
        let name = question.name();
        let Some(zone) = self.zones.iter().find(|zone| zone.name().zone_of(name)) else {
            return Located::Answer(Answer::Refused);
        };
        match zone.key(name) {
            Some(key) => Located::Key(KeyQuestion::new(zone, question, key)),
            None => Located::Answer(zone.answer(name, question.query_type())),
        }
    }
}

/// What must hold between an origin and one whose name is at least as long.
fn check_pair(origin: &Origin, longer: &Zone) -> Result<(), OriginError> {
    if origin.name == *longer.name() {
        return Err(OriginError::Duplicate(origin.name.to_string()));
    }
    let mut servers = origin.ns_addresses.keys();
    match servers.find(|server| longer.name().zone_of(server)) {
        None => Ok(()),
        Some(server) => Err(OriginError::ServerOfOther {
            server: server.to_string(),
            origin: origin.name.to_string(),
            inner: longer.name().to_string(),
        }),
    }
}

#[cfg(test)]
#[path = "authority_tests.rs"]
mod tests;
