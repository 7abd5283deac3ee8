//! A snapshot, at the node that sends it and at the node that receives it.

use std::{sync::Arc, time::Duration};

use openraft::type_config::alias::SnapshotOf;
use quorate_state::ClusterState;
use quorate_store::{Meta, ReceivedSnapshot, Store, StoreError};
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

use super::types::TypeConfig;
use crate::{
    links::drop_in_background::DropInBackground, snapshots::receive_slot::SlotGuard,
    snapshots::transfers::SharedSnapshot,
};

/// How long a receiver may take to receive and store one piece, and a sender until it sends the
/// next.
pub(crate) const PIECE_TIMEOUT: Duration = Duration::from_secs(60);

/// The longest pause after a piece. Because of it a gigabyte takes ten seconds longer.
const THROTTLE_MAX: Duration = Duration::from_millis(10);

/// Pauses about as long as the work on a piece took since `started_at`, so that publishers and
/// resolvers, which wait for an answer, find a core and the disk free half of the time.
pub(super) async fn throttle(started_at: Instant) {
    sleep(started_at.elapsed().min(THROTTLE_MAX)).await;
}

/// A snapshot and what it reflects.
pub(crate) type Snapshot = SnapshotOf<TypeConfig, SnapshotData>;

/// What openraft passes around as a snapshot.
pub(crate) enum SnapshotData {
    /// The packets of this node, to be sent. The `Notify` is triggered if they turn out to be
    /// damaged.
    Local(SharedSnapshot, Arc<Notify>),
    /// The packets of another node, complete and verified, to be installed.
    Received(Box<DropInBackground<ReceivedInSlot>>),
}

/// A snapshot that was received, and its slot, which is released once the file is moved or removed.
pub(crate) struct ReceivedInSlot {
    pub(crate) snapshot: ReceivedSnapshot,
    pub(crate) slot: SlotGuard,
}

impl SnapshotData {
    pub(crate) fn cluster(&self) -> &ClusterState {
        match self {
            Self::Received(received) => received.snapshot.cluster(),
            Self::Local(local, _) => &local.meta().cluster,
        }
    }

    /// Replaces the packets of `store` with the snapshot. Blocks the thread.
    pub(crate) fn install(self, store: &Store, meta: Meta) -> Result<(), StoreError> {
        match self {
            Self::Received(received) => {
                let ReceivedInSlot { snapshot, slot } = received.into_inner();
                let installed = store.install(snapshot, meta);
                drop(slot);
                installed
            }
            Self::Local(local, _) => {
                let mut receiver = Store::receiver(store.config())?;
                let mut chunks = local.chunks()?;
                while let Some(chunk) = chunks.next_chunk()? {
                    receiver.push(&chunk)?;
                }
                store.install(receiver.complete()?, meta)
            }
        }
    }
}
