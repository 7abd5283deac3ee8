//! The zone of one origin: its configured records, and which names are below a key.

use std::ops::RangeInclusive;

use quorate_packet::{PublicKey, Z32_LEN};
use quorate_state::WireName;

use crate::{
    name::{Labels, NameRef},
    origin::{NEGATIVE_TTL_SECS_MAX, Origin, OriginError},
    rdata::types,
    tree::{Flags, NameMatch, Node, RecordTree, Set},
    zone_message::ZoneMessage,
};

/// An origin, ready to answer.
#[derive(Debug)]
pub(crate) struct Zone {
    /// Its index among all zones.
    pub(crate) index: usize,
    pub(crate) name: WireName,
    labels: Labels,
    /// The bytes that the tree's offsets refer to.
    pub(crate) message: Box<[u8]>,
    pub(crate) tree: RecordTree,
    /// The SOA, and its TTL in negative answers, in seconds.
    pub(crate) soa: Set,
    pub(crate) negative_ttl_secs: u32,
    /// The smallest and the largest TTL of served packet records, in seconds.
    ttl_secs: RangeInclusive<u32>,
    pub(crate) dht: bool,
}

impl Zone {
    /// The zone of a checked origin; `inner` are the names of the origins inside it.
    pub(crate) fn new(
        index: usize,
        origin: &Origin,
        inner: &[&WireName],
    ) -> Result<Self, OriginError> {
        let negative_ttl_secs = origin.soa_ttl_secs.min(origin.soa.minimum_secs);
        let (message, tree) = ZoneMessage::new(origin, inner)?.compile();
        let name = origin.name.as_bytes();
        let soa = tree.set(Node::APEX, types::SOA);
        Ok(Self {
            index,
            name: origin.name.clone(),
            labels: Labels::parse(name).expect("a `WireName` is a valid name"),
            message,
            soa: soa.expect("every origin has a SOA"),
            tree,
            negative_ttl_secs: negative_ttl_secs.min(NEGATIVE_TTL_SECS_MAX),
            ttl_secs: origin.ttl_secs_min..=origin.ttl_secs_max,
            dht: origin.dht,
        })
    }

    pub(crate) fn name_ref(&self) -> NameRef<'_> {
        NameRef::new(self.name.as_bytes(), &self.labels)
    }

    pub(crate) fn label_count(&self) -> usize {
        self.name_ref().label_count()
    }

    pub(crate) fn clamp_ttl_secs(&self, ttl_secs: u32) -> u32 {
        // The settings were checked: the smallest is not above the largest.
        ttl_secs
            .max(*self.ttl_secs.start())
            .min(*self.ttl_secs.end())
    }

    /// Whether `name`, the name of an origin inside this zone, is a delegation of this zone itself:
    /// not one of another server in between, and not of a key. The root is only the parent of names
    /// with one label, because others serve those below.
    pub(crate) fn is_parent_of(&self, name: NameRef<'_>) -> bool {
        let apex = self.label_count();
        let found = self.tree.find(&self.message, name, apex, Flags::NONE);
        let is_own =
            matches!(found, NameMatch::OtherOrigin(_, depth) if name.label_count() == apex + depth);
        is_own && self.key(name).is_none() && (apex > 0 || name.label_count() == 1)
    }

    /// The key that a name in this zone is at or below, if there is one.
    pub(crate) fn key(&self, name: NameRef<'_>) -> Option<PublicKey> {
        let above = name.label_from_right(self.label_count())?;
        match above.len() {
            Z32_LEN => PublicKey::parse_z32(above).ok(),
            _ => None,
        }
    }
}

#[cfg(test)]
#[path = "zone_tests.rs"]
mod tests;
