//! Checking a file against what it says of itself.

use std::path::PathBuf;

use quorate_packet::PublicKey;
use quorate_state::StoredPacket;

use crate::{
    Damage, Meta, PacketsSummary, StoreError,
    damage::KEY_COUNT_MAX,
    schema::{Key, encoding_of},
};

/// Checks packets as they are read, in the order of their keys.
pub(crate) struct Inspection {
    path: PathBuf,
    summary: PacketsSummary,
    /// The last key that was checked.
    pub(crate) last_key: Option<Key>,
    damaged_keys: Vec<PublicKey>,
    damaged_count: u64,
}

impl Inspection {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            summary: PacketsSummary::default(),
            last_key: None,
            damaged_keys: Vec::new(),
            damaged_count: 0,
        }
    }

    /// Checks the next packet: `None` when it is damaged, which [`end`](Self::end) tells. Fails when
    /// reading on makes no sense: a damaged tree can lead in circles.
    pub(crate) fn check(
        &mut self,
        key: &Key,
        value: &[u8],
    ) -> Result<Option<StoredPacket>, StoreError> {
        if self.last_key.is_some_and(|last| last >= *key) {
            return Err(self.damage("its packets are out of order").into());
        }
        self.last_key = Some(*key);
        let public_key = PublicKey::from_bytes(*key);
        let stored =
            encoding_of(key, value).and_then(|encoded| StoredPacket::decode(public_key, encoded));
        match &stored {
            Some(stored) => self.summary.insert(stored),
            None => {
                self.damaged_count += 1;
                if self.damaged_keys.len() < KEY_COUNT_MAX {
                    self.damaged_keys.push(public_key);
                }
            }
        }
        Ok(stored)
    }

    /// Compares what was read, which is all, with what `meta` says.
    pub(crate) fn end(&self, meta: &Meta) -> Result<(), StoreError> {
        let found_count = self.summary.usage.count + self.damaged_count;
        let reason = match () {
            () if self.damaged_count > 0 => "packets fail their checksum",
            () if self.summary != meta.packets => "it holds other packets than it says",
            () => return Ok(()),
        };
        let mut damage = self.damage(reason);
        damage.missing_count = meta.packets.usage.count.wrapping_sub(found_count) as i64;
        Err(damage.into())
    }

    /// Adds what was found so far to an error that ended the reading.
    pub(crate) fn explain(&self, error: StoreError) -> StoreError {
        match error {
            StoreError::Damaged(damage) => self.damage(damage.reason).into(),
            other => other,
        }
    }

    /// What was found so far.
    pub(crate) fn damage(&self, reason: impl Into<String>) -> Damage {
        Damage {
            keys: self.damaged_keys.clone(),
            damaged_count: self.damaged_count,
            ..Damage::new(&self.path, reason)
        }
    }
}
