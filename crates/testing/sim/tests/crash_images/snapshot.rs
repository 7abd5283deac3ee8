//! A snapshot from a leader that is far ahead.

use quorate_disk::Disk;
use quorate_sim::SimDisk;
use quorate_state::{LogPosition, StoredPackets};
use quorate_store::{CheckpointScope, IoSpeed, ReceivedSnapshot, Store, StoreConfig, StoreError};

use crate::{
    packets::Packets,
    store_node::{STORE_DIR, config, open_store},
};

/// Sends a snapshot of these packets, from a store on another disk, to the store on `disk`.
pub(crate) fn receive(
    disk: &SimDisk,
    packets: &Packets,
    applied: LogPosition,
) -> Result<ReceivedSnapshot, String> {
    let leader = SimDisk::new();
    let created = leader.create_dir(STORE_DIR.as_ref());
    created.map_err(|error| format!("{error:?}"))?;
    let store = open_store(&leader)?;
    store.transact(|stored, meta| {
        for packet in packets.iter() {
            stored.put(packet);
        }
        meta.applied = Some(applied);
        meta.cluster = packets.cluster.clone();
    });
    let received = send(&store, &config(disk));
    received.map_err(|error| format!("a snapshot cannot be sent: {error:?}"))
}

fn send(store: &Store, to: &StoreConfig) -> Result<ReceivedSnapshot, StoreError> {
    store
        .begin_checkpoint(CheckpointScope::Changes)
        .commit(IoSpeed::Fast)?;
    let mut chunks = store.snapshot()?.chunks()?;
    let mut receiver = Store::receiver(to)?;
    while let Some(chunk) = chunks.next_chunk()? {
        receiver.push(&chunk)?;
    }
    receiver.complete()
}
