//! The two lives of a snapshot: held by the node that sends it, received by the other.

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
    links::offloaded::Offloaded, snapshots::incoming::Slot, snapshots::transfers::SharedSnapshot,
};

/// How long one piece of a snapshot may take to be received and stored, and its sender until the
/// next.
pub(crate) const PIECE_TIMEOUT: Duration = Duration::from_secs(60);

/// The longest rest after a piece: a gigabyte takes ten seconds longer for it.
const REST_MAX: Duration = Duration::from_millis(10);

/// Rests about as long as was worked on a piece since `begun`, so that publishers and resolvers, who wait
/// for an answer, find a core and the disk free half of the time.
pub(super) async fn rest(begun: Instant) {
    sleep(begun.elapsed().min(REST_MAX)).await;
}

/// A snapshot and what it reflects.
pub(crate) type Snapshot = SnapshotOf<TypeConfig, SnapshotData>;

/// What openraft passes around as a snapshot.
pub(crate) enum SnapshotData {
    /// The packets of this node, to be sent; and whom to tell when they turn out to be damaged.
    Held(SharedSnapshot, Arc<Notify>),
    /// The packets of another node, whole and checked, to be installed.
    Received(Box<Offloaded<Received>>),
}

/// A snapshot that was received, and the place that it was received in, which is given back once the
/// file is out of the way.
pub(crate) struct Received {
    pub(crate) snapshot: ReceivedSnapshot,
    pub(crate) slot: Slot,
}

impl SnapshotData {
    /// What the cluster had agreed on.
    pub(crate) fn cluster(&self) -> &ClusterState {
        match self {
            Self::Received(received) => received.snapshot.cluster(),
            Self::Held(held, _) => &held.meta().cluster,
        }
    }

    /// Puts the snapshot in place of the packets of `store`. To be called where a thread may block.
    pub(crate) fn install(self, store: &Store, meta: Meta) -> Result<(), StoreError> {
        match self {
            Self::Received(received) => {
                let Received { snapshot, slot } = received.into_inner();
                let installed = store.install(snapshot, meta);
                drop(slot);
                installed
            }
            Self::Held(held, _) => {
                let mut receiver = Store::receiver(store.config())?;
                let mut chunks = held.chunks()?;
                while let Some(chunk) = chunks.next_chunk()? {
                    receiver.push(&chunk)?;
                }
                store.install(receiver.complete()?, meta)
            }
        }
    }
}
