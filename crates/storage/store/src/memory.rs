//! All packets, and the state that only transactions and checkpoints use.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::{Arc, Mutex, MutexGuard},
};

use bytes::Bytes;
use quorate_packet::{PublicKey, SignedPacket};
use quorate_replica::{ChangeKind, IndexedPacket};
use quorate_state::{StoredPacket, StoredPackets, UnixMillis, Usage};

use crate::{Index, Meta, PacketsSummary, file::Contents};

/// The packets by key, and under one lock everything else that a transaction needs.
pub(crate) struct Memory {
    pub(crate) index: Arc<Index>,
    state: Mutex<State>,
}

/// The state that only transactions and checkpoints use.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) meta: Meta,
    /// The packets in the order in which they expire.
    pub(crate) by_age: BTreeSet<(UnixMillis, PublicKey)>,
    pub(crate) changes: Changes,
}

/// The packets that changed since a checkpoint: the new one, or `None` if it was removed. A tree,
/// because a hash map that grows to a hundred thousand packets pauses to move all of them.
pub(crate) type Changes = BTreeMap<PublicKey, Option<Arc<IndexedPacket>>>;

impl Memory {
    pub(crate) fn new(contents: Contents) -> Self {
        let memory = Self {
            index: Arc::default(),
            state: Mutex::default(),
        };
        memory.replace(contents);
        memory
    }

    /// Up to `count` packets with keys after `after`, in the order of keys. This is not a
    /// consistent view: changes made meanwhile are included or not.
    pub(crate) fn packets_after(
        &self,
        after: Option<&PublicKey>,
        count: usize,
    ) -> Vec<StoredPacket> {
        let mut first = BTreeMap::new();
        self.index.for_each(|indexed| {
            let key = indexed.compiled.packet().key();
            let is_after = after.is_none_or(|after| key > after);
            let is_wanted =
                first.len() < count || first.last_key_value().is_some_and(|(last, _)| key < last);
            if is_after && is_wanted {
                first.insert(*key, indexed.clone());
                if first.len() > count {
                    first.pop_last();
                }
            }
        });
        first
            .into_values()
            .map(|indexed| indexed.stored())
            .collect()
    }

    /// Locks the state. A transaction holds the lock while it applies a group of entries; reads do
    /// not need it.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        let state = self.state.lock();
        state.expect("a panic left a transaction half applied")
    }

    pub(crate) fn transact<T>(
        &self,
        change: impl FnOnce(&mut PacketsMut<'_>, &mut Meta) -> T,
    ) -> (Meta, T) {
        let state = &mut *self.state();
        let mut meta = state.meta.clone();
        let mut packets = PacketsMut {
            memory: self,
            by_age: &mut state.by_age,
            changes: &mut state.changes,
            summary: state.meta.packets,
            changed: Vec::new(),
        };
        let value = change(&mut packets, &mut meta);
        meta.packets = packets.summary;
        state.meta = meta;
        (state.meta.clone(), value)
    }

    /// All packets. The caller holds the lock, so this is a consistent view.
    pub(crate) fn packets(&self, state: &MutexGuard<'_, State>) -> Vec<Arc<IndexedPacket>> {
        let mut packets = Vec::with_capacity(state.by_age.len());
        self.index.for_each(|indexed| packets.push(indexed.clone()));
        packets
    }

    /// Adds changes again that did not reach a checkpoint, unless there are later ones of the key.
    pub(crate) fn restore_changes(&self, changes: Changes) {
        // After a panic in a transaction there is no next checkpoint.
        if let Ok(mut state) = self.state.lock() {
            for (key, change) in changes {
                state.changes.entry(key).or_insert(change);
            }
        }
    }

    /// Replaces all packets. Prepares the new ones before it takes the lock, and drops the old ones
    /// after it has released it.
    pub(crate) fn replace(&self, contents: Contents) {
        let prepared = self.index.prepare(&contents.packets);
        let ages = contents.packets.iter();
        let ages = ages.map(|stored| (stored.received, *stored.packet.key()));
        let mut new = State {
            meta: contents.meta,
            by_age: ages.collect(),
            changes: Changes::default(),
        };
        drop(contents.packets);
        let mut state = self.state();
        let old = self.index.install(prepared);
        mem::swap(&mut *state, &mut new);
        drop(state);
        drop(old);
    }
}

/// The packets of one transaction. Each change is visible to reads immediately.
pub struct PacketsMut<'a> {
    memory: &'a Memory,
    by_age: &'a mut BTreeSet<(UnixMillis, PublicKey)>,
    changes: &'a mut Changes,
    summary: PacketsSummary,
    changed: Vec<(PublicKey, ChangeKind)>,
}

impl PacketsMut<'_> {
    /// The changes since the last call. A packet that was received again with the same bytes does
    /// not count.
    pub fn take_changed(&mut self) -> Vec<(PublicKey, ChangeKind)> {
        mem::take(&mut self.changed)
    }
}

impl StoredPackets for PacketsMut<'_> {
    fn stored_packet(&self, key: &PublicKey) -> Option<StoredPacket> {
        let indexed = self.memory.index.packet(key);
        indexed.map(|indexed| indexed.stored())
    }

    fn usage(&self) -> Usage {
        self.summary.usage
    }

    fn oldest(&self) -> Option<(UnixMillis, PublicKey)> {
        self.by_age.first().copied()
    }

    fn put(&mut self, stored: &StoredPacket) {
        let stored = with_own_payload(stored);
        let key = *stored.packet.key();
        let indexed = Arc::new(IndexedPacket::new(&stored));
        let mut has_changed = true;
        if let Some(old) = self.memory.index.put(indexed.clone()) {
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
    }

    fn remove(&mut self, key: &PublicKey) {
        if let Some(old) = self.memory.index.remove(key) {
            self.by_age.remove(&(old.received, *key));
            self.summary.remove(&old.stored());
            self.changes.insert(*key, None);
            self.changed.push((*key, ChangeKind::Deleted));
        }
    }
}

/// Copies the payload: it is a slice of the batch in which it arrived, and would keep all of that
/// in memory.
fn with_own_payload(stored: &StoredPacket) -> StoredPacket {
    let payload = Bytes::copy_from_slice(stored.packet.payload());
    let packet = SignedPacket::assume_verified(*stored.packet.key(), payload);
    StoredPacket {
        received: stored.received,
        packet: packet.expect("a packet has a possible size"),
    }
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
