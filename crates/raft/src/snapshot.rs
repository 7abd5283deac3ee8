//! The two lives of a snapshot: held by the node that sends it, received by the other.

use quorate_store::{Meta, ReceivedSnapshot, Snapshot, Store, StoreError};
use tokio::sync::OwnedMutexGuard;

/// What openraft passes around as a snapshot.
pub(crate) enum SnapshotData {
    /// The packets of this node, to be sent.
    Held(Snapshot),
    /// The packets of another node, whole and checked, to be installed; and the turn to receive,
    /// which is given back once the file that they are in is out of the way.
    Received(ReceivedSnapshot, OwnedMutexGuard<()>),
}

impl SnapshotData {
    /// Puts the snapshot in place of the packets of `store`.
    pub(crate) fn install(self, store: &Store, meta: Meta) -> Result<(), StoreError> {
        match self {
            Self::Received(received, _turn) => store.install(received, meta),
            Self::Held(held) => {
                let mut receiver = store.receive()?;
                let mut chunks = held.chunks()?;
                while let Some(chunk) = chunks.next_chunk()? {
                    receiver.push(&chunk)?;
                }
                store.install(receiver.complete()?, meta)
            }
        }
    }
}
