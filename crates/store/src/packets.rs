//! The packets inside a transaction, as the state machine sees them.

use quorate_packet::PublicKey;
use quorate_state::{StoredPacket, StoredPackets, UnixMillis};
use redb::{ReadableTable, Table};

use crate::{
    StoreError,
    schema::{Key, RetentionKey, retention_key},
};

/// The packets of one transaction.
pub struct PacketsMut<'txn> {
    pub(crate) packets: Table<'txn, &'static Key, &'static [u8]>,
    pub(crate) retention: Table<'txn, &'static RetentionKey, ()>,
    pub(crate) count: u64,
}

impl StoredPackets for PacketsMut<'_> {
    type Error = StoreError;

    fn stored_packet(&self, key: &PublicKey) -> Result<Option<StoredPacket>, StoreError> {
        find(&self.packets, key)
    }

    fn put(&mut self, stored: &StoredPacket, old: Option<&StoredPacket>) -> Result<(), StoreError> {
        let key = stored.packet.key().as_bytes();
        self.packets.insert(key, stored.encode().as_slice())?;
        match old {
            Some(old) => {
                self.retention.remove(&retention_key(old.received, key))?;
            }
            None => self.count += 1,
        }
        self.retention
            .insert(&retention_key(stored.received, key), ())?;
        Ok(())
    }

    fn remove_received_before(
        &mut self,
        cutoff: UnixMillis,
        count_max: usize,
    ) -> Result<usize, StoreError> {
        let end = retention_key(cutoff, &Key::default());
        let mut removed = 0;
        while removed < count_max {
            let Some((oldest, ())) = self
                .retention
                .pop_first()?
                .map(|(k, v)| (*k.value(), v.value()))
            else {
                break;
            };
            if oldest >= end {
                self.retention.insert(&oldest, ())?;
                break;
            }
            let key = oldest
                .last_chunk()
                .expect("a retention key ends in a public key");
            self.packets.remove(key)?;
            removed += 1;
        }
        self.count -= removed as u64;
        Ok(removed)
    }
}

/// The packet of `key` in a table.
pub(crate) fn find(
    packets: &impl ReadableTable<&'static Key, &'static [u8]>,
    key: &PublicKey,
) -> Result<Option<StoredPacket>, StoreError> {
    let Some(value) = packets.get(key.as_bytes())? else {
        return Ok(None);
    };
    StoredPacket::decode(*key, value.value())
        .map(Some)
        .ok_or_else(|| StoreError::Damaged(format!("the packet of {key} is cut short")))
}
