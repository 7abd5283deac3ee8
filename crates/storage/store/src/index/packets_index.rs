//! Packets by key.

use std::{
    hash::{BuildHasher, RandomState},
    mem,
    num::NonZero,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    thread,
};

use hashbrown::HashTable;
use quorate_packet::PublicKey;
use quorate_replica::IndexedPacket;
use quorate_state::StoredPacket;

use super::progress::Progress;

/// The number of maps. With a million packets each has about a thousand, and takes about ten
/// microseconds to grow.
const SHARD_COUNT: usize = 1024;

/// The most threads that prepare packets at a start: more threads would only wait for memory.
const THREAD_COUNT_MAX: usize = 8;

type Packets = HashTable<Arc<IndexedPacket>>;

/// The packets of a node, by key.
pub struct Index {
    shards: Box<[RwLock<Packets>]>,
    hasher: RandomState,
}

/// Packets ready to [replace](Index::install) all packets of an index; afterwards, the replaced
/// ones.
pub struct PreparedPackets {
    shards: Box<[RwLock<Packets>]>,
}

impl Default for Index {
    fn default() -> Self {
        Self {
            shards: empty_shards(),
            hasher: RandomState::new(),
        }
    }
}

impl Index {
    /// The packet of `key`.
    pub fn packet(&self, key: &PublicKey) -> Option<Arc<IndexedPacket>> {
        let hash = self.hash(key);
        read(self.shard(hash)).find(hash, has_key(key)).cloned()
    }

    /// Stores a packet, and returns the previous packet of its key.
    pub fn put(&self, indexed: Arc<IndexedPacket>) -> Option<Arc<IndexedPacket>> {
        let hash = self.hash(key_of(&indexed));
        self.insert(&mut write(self.shard(hash)), hash, indexed)
    }

    /// Removes and returns the packet of `key`.
    pub fn remove(&self, key: &PublicKey) -> Option<Arc<IndexedPacket>> {
        let hash = self.hash(key);
        let mut packets = write(self.shard(hash));
        let found = packets.find_entry(hash, has_key(key)).ok()?;
        Some(found.remove().0)
    }

    /// Compiles packets, which must have different keys, for [`install`](Self::install). Takes a
    /// second or two for a million, on all cores, and logs its progress.
    pub fn prepare(&self, packets: &[StoredPacket]) -> PreparedPackets {
        let prepared = PreparedPackets {
            shards: empty_shards(),
        };
        let thread_count = thread::available_parallelism().map_or(1, NonZero::get);
        let part_size = packets.len().div_ceil(thread_count.min(THREAD_COUNT_MAX));
        let progress = Progress::start(packets.len());
        let fill = &|part: &[StoredPacket]| {
            for stored in part {
                self.add(&prepared, stored);
                progress.advance();
            }
        };
        thread::scope(|scope| {
            for part in packets.chunks(part_size.max(1)) {
                scope.spawn(move || fill(part));
            }
        });
        progress.finish();
        prepared
    }

    fn add(&self, prepared: &PreparedPackets, stored: &StoredPacket) {
        let indexed = Arc::new(IndexedPacket::new(stored));
        let hash = self.hash(key_of(&indexed));
        let shard = &prepared.shards[shard_of(hash)];
        self.insert(&mut write(shard), hash, indexed);
    }

    /// Replaces all packets by prepared ones. Returns the old ones, because freeing them takes a
    /// while.
    ///
    /// All locks are taken before the first is released. Otherwise a reader could see an old packet
    /// after a new one.
    pub fn install(&self, mut prepared: PreparedPackets) -> PreparedPackets {
        let mut shards: Vec<_> = self.shards.iter().map(write).collect();
        for (old, new) in shards.iter_mut().zip(&mut prepared.shards) {
            let new = new.get_mut().unwrap_or_else(PoisonError::into_inner);
            mem::swap(&mut **old, new);
        }
        drop(shards);
        prepared
    }

    /// Calls `visit` for each packet, in no particular order. This is not a consistent view:
    /// packets that are put or removed meanwhile may be visited or not.
    pub fn for_each(&self, mut visit: impl FnMut(&Arc<IndexedPacket>)) {
        for shard in &self.shards {
            read(shard).iter().for_each(&mut visit);
        }
    }

    /// The number of packets.
    pub fn packet_count(&self) -> usize {
        self.shards.iter().map(|shard| read(shard).len()).sum()
    }

    fn insert(
        &self,
        packets: &mut Packets,
        hash: u64,
        indexed: Arc<IndexedPacket>,
    ) -> Option<Arc<IndexedPacket>> {
        match packets.find_mut(hash, has_key(key_of(&indexed))) {
            Some(old) => Some(mem::replace(old, indexed)),
            None => {
                packets.insert_unique(hash, indexed, |indexed| self.hash(key_of(indexed)));
                None
            }
        }
    }

    fn hash(&self, key: &PublicKey) -> u64 {
        self.hasher.hash_one(key)
    }

    fn shard(&self, hash: u64) -> &RwLock<Packets> {
        &self.shards[shard_of(hash)]
    }
}

fn empty_shards() -> Box<[RwLock<Packets>]> {
    (0..SHARD_COUNT).map(|_| RwLock::default()).collect()
}

/// Uses bits in the middle of the hash, because a map uses those at both ends.
fn shard_of(hash: u64) -> usize {
    (hash >> 32) as usize % SHARD_COUNT
}

fn key_of(indexed: &IndexedPacket) -> &PublicKey {
    indexed.compiled.packet().key()
}

fn has_key(key: &PublicKey) -> impl Fn(&Arc<IndexedPacket>) -> bool {
    move |indexed| key_of(indexed) == key
}

/// Locks a map. A poisoned lock can be used: hashing and comparing, which may panic, run before
/// anything is moved.
fn read(shard: &RwLock<Packets>) -> RwLockReadGuard<'_, Packets> {
    shard.read().unwrap_or_else(PoisonError::into_inner)
}

fn write(shard: &RwLock<Packets>) -> RwLockWriteGuard<'_, Packets> {
    shard.write().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;
