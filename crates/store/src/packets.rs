//! The packets inside a transaction, as the state machine sees them.

use std::{collections::BTreeSet, convert::Infallible};

use bytes::Bytes;
use quorate_packet::{PublicKey, SignedPacket};
use quorate_state::{StoredPacket, StoredPackets, UnixMillis};

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
}

impl StoredPackets for PacketsMut<'_> {
    type Error = Infallible;

    fn stored_packet(&self, key: &PublicKey) -> Result<Option<StoredPacket>, Infallible> {
        Ok(self.memory.stored_packet(key))
    }

    fn put(&mut self, stored: &StoredPacket) -> Result<(), Infallible> {
        let stored = with_own_payload(stored);
        let key = *stored.packet.key();
        if let Some(old) = self.memory.insert(stored.clone()) {
            self.by_age.remove(&(old.received, key));
            self.summary.remove(&old);
        }
        self.by_age.insert((stored.received, key));
        self.summary.insert(&stored);
        self.changes.insert(key, Some(stored));
        Ok(())
    }

    fn remove_received_before(
        &mut self,
        cutoff: UnixMillis,
        count_max: usize,
    ) -> Result<usize, Infallible> {
        let mut removed = 0;
        while removed < count_max
            && let Some(&(received, key)) = self.by_age.first()
            && received < cutoff
        {
            self.by_age.pop_first();
            self.changes.insert(key, None);
            if let Some(old) = self.memory.remove(&key) {
                self.summary.remove(&old);
            }
            removed += 1;
        }
        Ok(removed)
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
