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

/// Into how many maps the packets are divided. Of a million packets each has about a thousand, and
/// moves them in some ten microseconds when it grows.
const SHARD_COUNT: usize = 1024;

/// The most threads that make packets ready at a start: beyond, memory is what they wait for.
const THREAD_COUNT_MAX: usize = 8;

type Packets = HashTable<Arc<IndexedPacket>>;

/// The packets of a node, by key.
pub struct Index {
    shards: Box<[RwLock<Packets>]>,
    hasher: RandomState,
}

/// Packets that are [to take the place](Index::install) of all that an index holds; afterwards, those
/// that it held.
pub struct Prepared {
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
        read(self.shard(hash)).find(hash, of(key)).cloned()
    }

    /// Puts a packet in place of the one that its key has, which is returned.
    pub fn put(&self, indexed: Arc<IndexedPacket>) -> Option<Arc<IndexedPacket>> {
        let hash = self.hash(key_of(&indexed));
        self.insert(&mut write(self.shard(hash)), hash, indexed)
    }

    /// Removes the packet of `key`, which is returned.
    pub fn remove(&self, key: &PublicKey) -> Option<Arc<IndexedPacket>> {
        let hash = self.hash(key);
        let mut packets = write(self.shard(hash));
        let found = packets.find_entry(hash, of(key)).ok()?;
        Some(found.remove().0)
    }

    /// Makes packets of different keys ready beside those that are there: a second or two for a
    /// million, on all cores, and says how far it is.
    pub fn prepare(&self, packets: &[StoredPacket]) -> Prepared {
        let prepared = Prepared {
            shards: empty_shards(),
        };
        let thread_count = thread::available_parallelism().map_or(1, NonZero::get);
        let part_size = packets.len().div_ceil(thread_count.min(THREAD_COUNT_MAX));
        let progress = Progress::begin(packets.len());
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
        progress.end();
        prepared
    }

    fn add(&self, prepared: &Prepared, stored: &StoredPacket) {
        let indexed = Arc::new(IndexedPacket::new(stored));
        let hash = self.hash(key_of(&indexed));
        let shard = &prepared.shards[shard_of(hash)];
        self.insert(&mut write(shard), hash, indexed);
    }

    /// Puts prepared packets in place of all that are there, which are returned: to free them takes a while.
    ///
    /// Every lock is taken before one is let go, or a reader could see a packet of the old ones after
    /// one of the new.
    pub fn install(&self, mut prepared: Prepared) -> Prepared {
        let mut shards: Vec<_> = self.shards.iter().map(write).collect();
        for (old, new) in shards.iter_mut().zip(&mut prepared.shards) {
            let new = new.get_mut().unwrap_or_else(PoisonError::into_inner);
            mem::swap(&mut **old, new);
        }
        drop(shards);
        prepared
    }

    /// Calls `visit` for each packet, in no order. Not of one moment, unless nothing changes: what is
    /// put or removed meanwhile is seen or not.
    pub fn for_each(&self, mut visit: impl FnMut(&Arc<IndexedPacket>)) {
        for shard in &self.shards {
            read(shard).iter().for_each(&mut visit);
        }
    }

    /// How many packets there are.
    pub fn packet_count(&self) -> usize {
        self.shards.iter().map(|shard| read(shard).len()).sum()
    }

    fn insert(
        &self,
        packets: &mut Packets,
        hash: u64,
        indexed: Arc<IndexedPacket>,
    ) -> Option<Arc<IndexedPacket>> {
        match packets.find_mut(hash, of(key_of(&indexed))) {
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

/// By bits in the middle of the hash: a map goes by those at its ends.
fn shard_of(hash: u64) -> usize {
    (hash >> 32) as usize % SHARD_COUNT
}

fn key_of(indexed: &IndexedPacket) -> &PublicKey {
    indexed.compiled.packet().key()
}

fn of(key: &PublicKey) -> impl Fn(&Arc<IndexedPacket>) -> bool {
    move |indexed| key_of(indexed) == key
}

/// No panic leaves a map in pieces: what hashes and compares runs before anything is moved.
fn read(shard: &RwLock<Packets>) -> RwLockReadGuard<'_, Packets> {
    shard.read().unwrap_or_else(PoisonError::into_inner)
}

fn write(shard: &RwLock<Packets>) -> RwLockWriteGuard<'_, Packets> {
    shard.write().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;
