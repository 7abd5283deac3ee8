//! All packets.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    mem,
    sync::{
        Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use quorate_packet::PublicKey;
use quorate_state::{StoredPacket, UnixMillis};

use crate::{Meta, PacketsMut, file::Contents};

/// Into how many maps the packets are divided: enough that a read hardly ever meets the one write.
const SHARD_COUNT: usize = 64;

type Shard = RwLock<HashMap<PublicKey, StoredPacket>>;

/// The packets by key, and behind one lock all that a change needs beside them.
#[derive(Debug)]
pub(crate) struct Memory {
    shards: [Shard; SHARD_COUNT],
    state: Mutex<State>,
    /// When the packet that was received last was; zero if there was none.
    latest_received: AtomicU64,
}

/// What only changes and checkpoints look at.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) meta: Meta,
    /// The packets in the order in which they expire.
    pub(crate) by_age: BTreeSet<(UnixMillis, PublicKey)>,
    pub(crate) changes: Changes,
}

/// What became of packets since a checkpoint: stored anew, or removed. A tree, for a hash map that
/// grows to a hundred thousand packets stops now and then to move all of them.
pub(crate) type Changes = BTreeMap<PublicKey, Option<StoredPacket>>;

impl Memory {
    pub(crate) fn new(contents: Contents) -> Self {
        let memory = Self {
            shards: std::array::from_fn(|_| Shard::default()),
            state: Mutex::default(),
            latest_received: AtomicU64::default(),
        };
        memory.replace(contents);
        memory
    }

    /// The packet of `key`.
    pub(crate) fn stored_packet(&self, key: &PublicKey) -> Option<StoredPacket> {
        let shard = self.shard(key).read();
        let shard = shard.unwrap_or_else(PoisonError::into_inner);
        shard.get(key).cloned()
    }

    /// Up to `count` packets with keys behind `after`, in the order of keys. Not of one moment: what
    /// changes meanwhile is there or not.
    pub(crate) fn packets_after(
        &self,
        after: Option<&PublicKey>,
        count: usize,
    ) -> Vec<StoredPacket> {
        let mut first = BTreeMap::new();
        for shard in &self.shards {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            for (key, stored) in shard.iter() {
                let is_behind = after.is_none_or(|after| key > after);
                let is_wanted = first.len() < count
                    || first.last_key_value().is_some_and(|(last, _)| key < last);
                if is_behind && is_wanted {
                    first.insert(*key, stored.clone());
                    if first.len() > count {
                        first.pop_last();
                    }
                }
            }
        }
        first.into_values().collect()
    }

    /// When the packet that was received last was, be it still there or not.
    pub(crate) fn latest_received(&self) -> Option<UnixMillis> {
        let latest = self.latest_received.load(Ordering::Acquire);
        (latest > 0).then_some(UnixMillis(latest))
    }

    fn note_received(&self, received: UnixMillis) {
        self.latest_received.fetch_max(received.0, Ordering::AcqRel);
    }

    pub(crate) fn insert(&self, stored: StoredPacket) -> Option<StoredPacket> {
        let key = *stored.packet.key();
        self.note_received(stored.received);
        let shard = self.shard(&key).write();
        let mut shard = shard.unwrap_or_else(PoisonError::into_inner);
        shard.insert(key, stored)
    }

    pub(crate) fn remove(&self, key: &PublicKey) -> Option<StoredPacket> {
        let shard = self.shard(key).write();
        let mut shard = shard.unwrap_or_else(PoisonError::into_inner);
        shard.remove(key)
    }

    /// The lock of everything but reads, held for as long as a group of entries takes.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        let state = self.state.lock();
        state.expect("a change that panicked has left half of itself")
    }

    /// Changes packets and meta.
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
            summary: state.meta.summary(),
        };
        let value = change(&mut packets, &mut meta);
        state.meta = meta.with(packets.summary);
        (state.meta.clone(), value)
    }

    /// All packets as they stand in `state`.
    pub(crate) fn packets(&self, _state: &MutexGuard<'_, State>) -> Vec<StoredPacket> {
        let mut packets = Vec::new();
        for shard in &self.shards {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            packets.extend(shard.values().cloned());
        }
        packets
    }

    /// Takes back changes that did not reach a checkpoint, where no later ones stand in their place.
    pub(crate) fn take_back(&self, changes: Changes) {
        // Of what panicked there is no next checkpoint.
        if let Ok(mut state) = self.state.lock() {
            for (key, change) in changes {
                state.changes.entry(key).or_insert(change);
            }
        }
    }

    /// Puts other packets in place of all. A read meanwhile finds one or the other, and waits for no
    /// more than that two maps change places: the new ones are built before, and the old ones dropped
    /// when no lock is held any more.
    pub(crate) fn replace(&self, contents: Contents) {
        let mut shards: [HashMap<_, _>; SHARD_COUNT] = std::array::from_fn(|_| HashMap::new());
        let mut ages = Vec::with_capacity(contents.packets.len());
        for stored in contents.packets {
            let key = *stored.packet.key();
            self.note_received(stored.received);
            ages.push((stored.received, key));
            shards[shard_of(&key)].insert(key, stored);
        }
        let mut new = State {
            meta: contents.meta,
            by_age: ages.into_iter().collect(),
            changes: Changes::default(),
        };
        let mut state = self.state();
        for (shard, new) in self.shards.iter().zip(&mut shards) {
            let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
            mem::swap(&mut *shard, new);
        }
        mem::swap(&mut *state, &mut new);
        drop(state);
    }

    fn shard(&self, key: &PublicKey) -> &Shard {
        &self.shards[shard_of(key)]
    }
}

fn shard_of(key: &PublicKey) -> usize {
    usize::from(key.as_bytes()[0]) % SHARD_COUNT
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
