//! The packets inside a transaction, as the state machine sees them.

use std::{collections::BTreeSet, convert::Infallible, mem, sync::Arc};

use bytes::Bytes;
use quorate_packet::{PublicKey, SignedPacket};
use quorate_replica::{ChangeKind, IndexedPacket};
use quorate_state::{StoredPacket, StoredPackets, UnixMillis, Usage};

use crate::{
    memory::{Changes, Memory},
    schema::Summary,
};

/// The packets of one transaction. Each change is there for reads at once.
pub struct PacketsMut<'a> {
    pub(crate) memory: &'a Memory,
    pub(crate) by_age: &'a mut BTreeSet<(UnixMillis, PublicKey)>,
    pub(crate) changes: &'a mut Changes,
    pub(crate) summary: Summary,
    pub(crate) changed: Vec<(PublicKey, ChangeKind)>,
}

impl PacketsMut<'_> {
    /// What has changed since this was last called. Bytes that were stored already, and received once
    /// more, are no change.
    pub fn take_changed(&mut self) -> Vec<(PublicKey, ChangeKind)> {
        mem::take(&mut self.changed)
    }
}

impl StoredPackets for PacketsMut<'_> {
    type Error = Infallible;

    fn stored_packet(&self, key: &PublicKey) -> Result<Option<StoredPacket>, Infallible> {
        let indexed = self.memory.index.packet(key);
        Ok(indexed.map(|indexed| indexed.stored()))
    }

    fn usage(&self) -> Result<Usage, Infallible> {
        Ok(self.summary.usage)
    }

    fn oldest(&self) -> Result<Option<(UnixMillis, PublicKey)>, Infallible> {
        Ok(self.by_age.first().copied())
    }

    fn put(&mut self, stored: &StoredPacket) -> Result<(), Infallible> {
        let stored = with_own_payload(stored);
        let key = *stored.packet.key();
        let indexed = Arc::new(IndexedPacket::new(&stored));
        let mut has_changed = true;
        if let Some(old) = self.memory.put(indexed.clone()) {
            self.by_age.remove(&(old.received, key));
            let old = old.stored();
            self.summary.remove(&old);
            has_changed = old.packet != stored.packet;
        }
        if has_changed {
            self.changed.push((key, ChangeKind::Stored));
        }
        self.by_age.insert((stored.received, key));
        self.summary.insert(&stored);
        self.changes.insert(key, Some(indexed));
        Ok(())
    }

    fn remove(&mut self, key: &PublicKey) -> Result<(), Infallible> {
        if let Some(old) = self.memory.index.remove(key) {
            self.by_age.remove(&(old.received, *key));
            self.summary.remove(&old.stored());
            self.changes.insert(*key, None);
            self.changed.push((*key, ChangeKind::Deleted));
        }
        Ok(())
    }
}

/// A payload is a piece of the batch in which it came, and would keep all of that in memory.
fn with_own_payload(stored: &StoredPacket) -> StoredPacket {
    let payload = Bytes::copy_from_slice(stored.packet.payload());
    let packet = SignedPacket::assume_verified(*stored.packet.key(), payload);
    StoredPacket {
        received: stored.received,
        packet: packet.expect("a packet has a possible size"),
    }
}
