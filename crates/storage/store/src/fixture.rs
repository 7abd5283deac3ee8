//! Helpers for the tests of this crate.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use quorate_disk::{Disk, LinuxDisk};
use quorate_packet::{PublicKey, SignedPacket};
use quorate_state::{
    Capacity, ClusterId, ClusterState, Command, Found, LEVEL_MAX, LogPosition, Outcome,
    StoredPacket, StoredPackets, UnixMillis,
};

use crate::{
    CheckpointScope, IoSpeed, Meta, PacketsMut, Store, StoreConfig, StoreError, StoreMetrics,
};

pub(crate) const CACHE_SIZE: usize = 1024 * 1024;

pub(crate) fn config_on(disk: impl Disk, path: impl Into<PathBuf>) -> StoreConfig {
    StoreConfig {
        disk: Arc::new(disk),
        path: path.into(),
        cache_size: CACHE_SIZE,
    }
}

pub(crate) fn config(dir: &Path) -> StoreConfig {
    config_on(LinuxDisk, dir.join("packets.redb"))
}

pub(crate) fn metrics() -> StoreMetrics {
    StoreMetrics::register(&quorate_metrics::Registry::new()).unwrap()
}

pub(crate) fn try_open(config: &StoreConfig) -> Result<Store, StoreError> {
    Store::open(config.clone(), metrics())
}

pub(crate) fn open(config: &StoreConfig) -> Store {
    try_open(config).unwrap()
}

pub(crate) fn key(number: u32) -> PublicKey {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    PublicKey::from_bytes(bytes)
}

pub(crate) fn stored(number: u32, received: u64, size: usize) -> StoredPacket {
    let payload = Bytes::from(vec![number as u8; size]);
    StoredPacket {
        received: UnixMillis(received),
        packet: SignedPacket::assume_verified(key(number), payload).unwrap(),
    }
}

/// Puts packets as entry `index` of the log would.
pub(crate) fn put(store: &Store, index: u64, packets: impl IntoIterator<Item = StoredPacket>) {
    store.transact(|table: &mut PacketsMut<'_>, meta: &mut Meta| {
        meta.applied = Some(LogPosition::new(1, index));
        meta.membership = Bytes::from_static(b"members");
        for stored in packets {
            table.put(&stored);
        }
    });
}

pub(crate) fn expire(store: &Store, cutoff: u64, count_max: usize) -> usize {
    let expire = Command::Expire {
        cutoff: UnixMillis(cutoff),
        count_max: count_max as u32,
    };
    match apply(store, &expire) {
        Outcome::Expired(count) => count,
        other => panic!("{other:?}"),
    }
}

/// Applies a command as the next entry.
pub(crate) fn apply(store: &Store, command: &Command) -> Outcome {
    let (_, outcome) = store.transact(|packets, meta| {
        let index = meta.applied_index().next();
        quorate_state::apply(
            packets,
            &mut meta.cluster,
            LEVEL_MAX,
            index,
            command.encode(),
        )
    });
    outcome.unwrap()
}

/// Founds the cluster with a capacity. Returns the cluster state.
pub(crate) fn found_cluster(store: &Store, capacity: Capacity) -> ClusterState {
    let found = Found {
        id: ClusterId([7; 32]),
        voters: 1,
        invite: None,
        capacity,
    };
    let outcome = apply(store, &Command::Found(found));
    assert_eq!(outcome, Outcome::Agreed);
    store.meta().cluster
}

pub(crate) fn checkpoint(store: &Store) -> Meta {
    store
        .begin_checkpoint(CheckpointScope::Changes)
        .commit(IoSpeed::Fast)
        .unwrap()
}

/// All packets in memory, in the order of keys.
pub(crate) fn packets(store: &Store) -> Vec<StoredPacket> {
    let memory = &store.shared().memory;
    let packets = memory.packets(&memory.state());
    let mut packets: Vec<_> = packets.iter().map(|indexed| indexed.stored()).collect();
    packets.sort_unstable_by_key(|stored| *stored.packet.key());
    packets
}

/// Runs a complete scrub.
pub(crate) fn scrub(store: &Store) -> Result<(), StoreError> {
    let mut scrub = store.scrub()?;
    while scrub.next_piece()?.is_some() {}
    Ok(())
}
