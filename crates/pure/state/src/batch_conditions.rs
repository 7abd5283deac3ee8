//! The conditions of the packets of a batch.

use std::collections::BTreeMap;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::{CommandError, Conditions, codec::Codec};

/// The size of their number, in bytes.
const COUNT_SIZE: usize = 2;

/// The size of a packet's place, in bytes.
const PLACE_SIZE: usize = 2;

/// The conditions of packets in a batch, by their places. Packets without conditions are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BatchConditions(BTreeMap<u16, Conditions>);

impl BatchConditions {
    /// Whether no packet has any.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The conditions of the packet at this place, if any.
    pub fn of(&self, place: usize) -> Option<&Conditions> {
        self.0.get(&u16::try_from(place).ok()?)
    }

    /// Sets the conditions of the packet at this place.
    pub fn insert(&mut self, place: u16, conditions: Conditions) {
        if !conditions.is_empty() {
            self.0.insert(place, conditions);
        }
    }

    /// Adds the conditions of another batch, whose packets start at place `first` here.
    pub(crate) fn append(&mut self, first: u16, others: &Self) {
        let others = others.0.iter();
        self.0
            .extend(others.map(|(place, conditions)| (first + place, conditions.clone())));
    }

    /// The maximum size of the encoding, in bytes.
    pub(crate) fn size(&self) -> usize {
        let each = self.0.values();
        COUNT_SIZE + each.map(|it| PLACE_SIZE + it.size()).sum::<usize>()
    }

    /// Encodes the number of packets with conditions (u16), and for each its place (u16) and conditions.
    pub(crate) fn encode(&self, out: &mut BytesMut) {
        out.put_u16(u16::try_from(self.0.len()).expect("each has a place of its own"));
        for (place, conditions) in &self.0 {
            out.put_u16(*place);
            conditions.put(out);
        }
    }

    /// Decodes the output of `encode`. The places must increase, and no conditions may be empty.
    pub(crate) fn decode(bytes: &mut Bytes) -> Result<Self, CommandError> {
        let mut all = BTreeMap::new();
        for _ in 0..bytes.try_get_u16()? {
            let place = bytes.try_get_u16()?;
            let conditions = Conditions::take(bytes)?;
            let follows = all.last_key_value().is_none_or(|(last, _)| *last < place);
            if !follows || conditions.is_empty() {
                return Err(CommandError::Condition);
            }
            all.insert(place, conditions);
        }
        Ok(Self(all))
    }

    /// Fails if a place is not in a batch of `packet_count` packets.
    pub(crate) fn check(&self, packet_count: usize) -> Result<(), CommandError> {
        match self.0.last_key_value() {
            Some((last, _)) if usize::from(*last) >= packet_count => Err(CommandError::Condition),
            _ => Ok(()),
        }
    }
}
