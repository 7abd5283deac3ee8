//! The records that a question is answered from.

use crate::{
    CompiledPacket, Question,
    message::MessageError,
    name::{NAME_SIZE_MAX, Name, SourcePieces},
    target::Target,
    tree::{Record, RecordTree, Set},
    zone::Zone,
};

/// The records of one zone: of an origin, or of a key under it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ZoneData<'a> {
    pub(crate) zone: &'a Zone,
    pub(crate) tree: &'a RecordTree,
    /// The bytes that the tree's offsets refer to.
    pub(crate) message: &'a [u8],
    /// Whether the records come from a packet.
    pub(crate) is_key_zone: bool,
}

impl<'a> ZoneData<'a> {
    /// The configured records of an origin.
    pub(crate) fn of_origin(zone: &'a Zone) -> Self {
        Self {
            zone,
            tree: &zone.tree,
            message: &zone.message,
            is_key_zone: false,
        }
    }

    /// The records of a packet, as the key's zone below the origin.
    pub(crate) fn of_key(zone: &'a Zone, packet: &'a CompiledPacket) -> Result<Self, MessageError> {
        Ok(Self {
            zone,
            tree: packet.tree()?,
            message: packet.packet().dns(),
            is_key_zone: true,
        })
    }

    /// How many labels the apex has.
    pub(crate) fn apex_label_count(&self) -> usize {
        self.zone.label_count() + usize::from(self.is_key_zone)
    }

    /// The TTL that a set is served with, in seconds.
    pub(crate) fn ttl_secs(&self, set: Set) -> u32 {
        let ttl_secs = self.tree.ttl_secs(set);
        match self.is_key_zone {
            true => self.zone.clamp_ttl_secs(ttl_secs),
            false => ttl_secs,
        }
    }

    /// The size of the labels before the apex in a name in RDATA, if the name is in this zone.
    pub(crate) fn prefix_size(&self, target: Target, apex: &[u8]) -> Option<usize> {
        target.prefix_size(self.message, apex, self.zone.name.as_bytes())
    }

    /// Whether another record of the set has the same data under the origin of the question.
    pub(crate) fn is_duplicate(&self, record: &Record<'_>, apex: &[u8]) -> bool {
        let target = record.target(0).filter(|target| target.may_be_duplicate);
        target.is_some_and(|target| self.prefix_size(target, apex).is_some())
    }

    /// A name in RDATA under the origin of the question, after the labels `prefix`. `None` if the
    /// result is too long.
    pub(crate) fn target_name(
        &self,
        question: &Question<'_>,
        prefix: &[u8],
        name_at: usize,
        target: Option<Target>,
    ) -> Option<Name> {
        let apex = question.name_ref().suffix(self.apex_label_count());
        let prefix_size = target.and_then(|target| self.prefix_size(target, apex));
        let size_max = prefix_size.unwrap_or(NAME_SIZE_MAX);
        let labels = SourcePieces::new(self.message, name_at, size_max);
        let end = match prefix_size {
            Some(_) => apex,
            None => &[0],
        };
        let pieces = std::iter::once(prefix).chain(labels);
        Name::from_pieces(pieces.chain(std::iter::once(end)))
    }
}
