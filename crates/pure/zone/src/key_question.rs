//! Questions that the packet of a key answers.

use quorate_packet::PublicKey;

use crate::{
    Answer, AnswerKind, CompiledPacket, MessageError, Question, record_set::RecordSet,
    resolver::Resolver, zone::Zone, zone_data::ZoneData,
};

/// A question about a key's zone, `<z32>.<origin>`.
#[derive(Debug)]
pub struct KeyQuestion<'a> {
    pub(crate) zone: &'a Zone,
    pub(crate) question: &'a Question<'a>,
    pub(crate) key: PublicKey,
}

/// A stored packet cannot be decoded, though it could be when it came.
#[derive(Debug, thiserror::Error)]
#[error("the stored packet of {key} cannot be decoded: it may be of a newer version, or damaged")]
pub struct UndecodableError {
    pub key: PublicKey,
    /// What is wrong with the packet.
    pub source: MessageError,
}

impl<'a> KeyQuestion<'a> {
    /// The key whose packet is needed.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// Which of [`Authority::origins`](crate::Authority::origins) the key's zone stands under.
    pub fn origin_index(&self) -> usize {
        self.zone.index
    }

    /// The answer, given the packet of [`key`](Self::key) or that there is none.
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
