//! The two lives of a snapshot: held by the node that sends it, received by the other.

use std::{sync::Arc, time::Duration};

use openraft::type_config::alias::SnapshotOf;
use quorate_state::ClusterState;
use quorate_store::{Meta, ReceivedSnapshot, Store, StoreError};
use tokio::sync::{Notify, OwnedMutexGuard};

use super::types::TypeConfig;

/// How long one piece of a snapshot may take to be received and stored, and its sender until the
/// next.
pub(crate) const PIECE_TIMEOUT: Duration = Duration::from_secs(60);

/// A snapshot and what it reflects.
pub(crate) type Snapshot = SnapshotOf<TypeConfig, SnapshotData>;

/// What openraft passes around as a snapshot.
pub(crate) enum SnapshotData {
    /// The packets of this node, to be sent; and whom to tell when they turn out to be damaged.
    Held(quorate_store::Snapshot, Arc<Notify>),
    /// The packets of another node, whole and checked, to be installed; and the lock of the
    /// reception, which is given back once the file that they are in is out of the way.
    Received(ReceivedSnapshot, OwnedMutexGuard<()>),
}

impl SnapshotData {
    /// What the cluster had agreed on.
    pub(crate) fn cluster(&self) -> &ClusterState {
        match self {
            Self::Received(received, _) => received.cluster(),
            Self::Held(held, _) => &held.meta().cluster,
        }
    }

    /// Puts the snapshot in place of the packets of `store`.
    pub(crate) fn install(self, store: &Store, meta: Meta) -> Result<(), StoreError> {
        match self {
            Self::Received(received, _lock) => store.install(received, meta),
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
