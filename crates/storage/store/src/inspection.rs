//! Checking the packets of a file against their checksums and the summary in the meta row.

use std::path::PathBuf;

use quorate_packet::PublicKey;
use quorate_state::StoredPacket;

use crate::{
    Damage, Meta, PacketsSummary, StoreError,
    damage::KEY_COUNT_MAX,
    schema::{Key, verified_encoding},
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

    /// Checks the next packet. Returns `None` when it is damaged, which [`finish`](Self::finish)
    /// reports. Fails when the packets are out of order: a damaged tree can have cycles, so reading
    /// must stop.
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
        let stored = verified_encoding(key, value)
            .and_then(|encoded| StoredPacket::decode(public_key, encoded));
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

    /// Compares the packets with the summary in `meta`, after all were read. Fails when they differ
    /// or some are damaged.
    pub(crate) fn finish(&self, meta: &Meta) -> Result<(), StoreError> {
        let found_count = self.summary.usage.count + self.damaged_count;
        let reason = match () {
            () if self.damaged_count > 0 => "packets have a wrong checksum",
            () if self.summary != meta.packets => "its packets differ from its summary of them",
            () => return Ok(()),
        };
        let mut damage = self.damage(reason);
        damage.missing_count = meta.packets.usage.count.wrapping_sub(found_count) as i64;
        Err(damage.into())
    }

    /// Adds the damaged packets found so far to an error that ended the reading.
    pub(crate) fn explain(&self, error: StoreError) -> StoreError {
        match error {
            StoreError::Damaged(damage) => self.damage(damage.reason).into(),
            other => other,
        }
    }

    /// The damage found so far.
    pub(crate) fn damage(&self, reason: impl Into<String>) -> Damage {
        Damage {
            keys: self.damaged_keys.clone(),
            damaged_count: self.damaged_count,
            ..Damage::new(&self.path, reason)
        }
    }
}
