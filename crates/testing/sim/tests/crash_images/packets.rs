//! The expected packets of a store, and the expected cluster state.

use std::collections::BTreeMap;

use bytes::Bytes;
use fastrand::Rng;
use quorate_packet::{PAYLOAD_SIZE_MAX, PAYLOAD_SIZE_MIN, PublicKey, SignedPacket};
use quorate_state::{
    BatchConditions, Capacity, ClusterId, ClusterState, Command, Found, LEVEL_MAX, LogIndex,
    PutBatch, StoredPacket, StoredPackets, TIMESTAMP_AHEAD_MAX, UnixMillis, Usage, apply,
};
use quorate_store::Store;

/// Few, so that packets replace each other.
const KEY_COUNT: u8 = 24;

/// The time between two commands, in milliseconds. Long, so that packets are soon old enough to be
/// evicted.
const COMMAND_INTERVAL_MS: u64 = 6 * 3600 * 1000;

/// The most packets of a command.
const BATCH_COUNT_MAX: usize = 6;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct PacketsByKey(BTreeMap<PublicKey, StoredPacket>);

/// The expected content of a store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Packets {
    by_key: PacketsByKey,
    pub(crate) cluster: ClusterState,
}

impl Packets {
    pub(crate) fn apply(&mut self, entry: Bytes) {
        let applied = apply(
            &mut self.by_key,
            &mut self.cluster,
            LEVEL_MAX,
            LogIndex(0),
            entry,
        );
        applied.expect("no command is above the level");
    }

    /// The content of this store.
    pub(crate) fn from_store(store: &Store) -> Self {
        let found = keys().filter_map(|key| Some((key, store.stored_packet(&key)?)));
        Self {
            by_key: PacketsByKey(found.collect()),
            cluster: store.meta().cluster,
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &StoredPacket> {
        self.by_key.0.values()
    }
}

impl StoredPackets for PacketsByKey {
    fn stored_packet(&self, key: &PublicKey) -> Option<StoredPacket> {
        self.0.get(key).cloned()
    }

    fn put(&mut self, stored: &StoredPacket) {
        self.0.insert(*stored.packet.key(), stored.clone());
    }

    fn usage(&self) -> Usage {
        Usage {
            count: self.0.len() as u64,
            size: self.0.values().map(StoredPacket::size).sum(),
        }
    }

    fn oldest(&self) -> Option<(UnixMillis, PublicKey)> {
        let by_age = self.0.iter().map(|(key, stored)| (stored.received, *key));
        by_age.min()
    }

    fn remove(&mut self, key: &PublicKey) {
        self.0.remove(key);
    }
}

pub(crate) fn keys() -> impl Iterator<Item = PublicKey> {
    (0..KEY_COUNT).map(|key| PublicKey::from_bytes([key; 32]))
}

/// A random command for the entry of this index.
pub(crate) fn command(index: u64, rng: &mut Rng) -> Bytes {
    let now = UnixMillis(index * COMMAND_INTERVAL_MS);
    let command = match rng.u32(..16) {
        0..2 => Command::RaiseLevel(LEVEL_MAX),
        2..4 => Command::Found(Found {
            id: ClusterId([1; 32]),
            voters: 1,
            invite: None,
            capacity: Capacity {
                count_max: rng.u64(1..KEY_COUNT.into()),
                size_max: u64::MAX,
            },
        }),
        4..6 => Command::Expire {
            cutoff: UnixMillis(now.0.saturating_sub(20 * COMMAND_INTERVAL_MS)),
            count_max: rng.u32(..4),
        },
        _ => Command::PutBatch(PutBatch {
            now,
            timestamp_max: match rng.bool() {
                true => now,
                false => now.saturating_add(TIMESTAMP_AHEAD_MAX),
            },
            conditions: BatchConditions::default(),
            packets: (0..rng.usize(1..=BATCH_COUNT_MAX))
                .map(|_| packet(now, rng))
                .collect(),
        }),
    };
    command.encode()
}

/// A packet without a valid signature.
fn packet(now: UnixMillis, rng: &mut Rng) -> SignedPacket {
    let size = rng.usize(PAYLOAD_SIZE_MIN..=PAYLOAD_SIZE_MAX);
    let mut payload: Vec<_> = (0..size).map(|_| rng.u8(..)).collect();
    // The timestamp, in microseconds, follows the signature.
    payload[PAYLOAD_SIZE_MIN - 8..PAYLOAD_SIZE_MIN].copy_from_slice(&(now.0 * 1000).to_be_bytes());
    let key = PublicKey::from_bytes([rng.u8(..KEY_COUNT); 32]);
    SignedPacket::assume_verified(key, payload.into()).unwrap()
}
