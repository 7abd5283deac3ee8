//! Questions whose answer depends on the packet of a key.

use quorate_packet::PublicKey;

use crate::{
    Answer, AnswerKind, CompiledPacket, MessageError, Question, record_set::RecordSet,
    resolver::Resolver, zone::Zone, zone_data::ZoneData,
};

/// A question about a key's zone, `<z32>.<origin>`. The key's packet is needed to answer it.
#[derive(Debug)]
pub struct PacketLookup<'a> {
    pub(crate) zone: &'a Zone,
    pub(crate) question: &'a Question<'a>,
    pub(crate) key: PublicKey,
}

/// A stored packet cannot be decoded, although it was decoded when it was accepted.
#[derive(Debug, thiserror::Error)]
#[error("the stored packet of {key} cannot be decoded: a newer version wrote it, or it is damaged")]
pub struct UndecodableError {
    pub key: PublicKey,
    /// What is wrong with the packet.
    pub source: MessageError,
}

impl<'a> PacketLookup<'a> {
    /// The key whose packet is needed.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The index in [`Authority::origins`](crate::Authority::origins) of the origin above the key.
    pub fn origin_index(&self) -> usize {
        self.zone.index
    }

    /// Whether a key without a packet may have one in the DHT.
    pub fn may_be_in_dht(&self) -> bool {
        self.zone.dht
    }

    /// The answer from the packet of [`key`](Self::key); `None` means that the key has no packet.
    pub fn answer(
        &self,
        packet: Option<&'a CompiledPacket>,
    ) -> Result<Answer<'a>, UndecodableError> {
        let Some(packet) = packet else {
            let authority = Some(RecordSet::soa(self.zone, self.question));
            let nothing = Answer::empty(AnswerKind::NxDomain, Some(self.zone.index));
            return Ok(Answer {
                authority,
                ..nothing
            });
        };
        debug_assert_eq!(packet.packet().key(), &self.key);
        match ZoneData::of_key(self.zone, packet) {
            Ok(data) => Ok(Resolver::new(self.question, data).resolve()),
            Err(source) => Err(UndecodableError {
                key: self.key,
                source,
            }),
        }
    }
}
