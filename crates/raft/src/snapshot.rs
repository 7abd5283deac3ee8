//! The two lives of a snapshot: held by the node that sends it, received by the other.

use quorate_store::{ReceivedSnapshot, Snapshot, Store, StoreError};

/// What openraft passes around as a snapshot.
pub(crate) enum SnapshotData {
    /// The records of this node, to be sent.
    Held(Snapshot),
    /// The records of another node, whole and checked, to be installed.
    Received(ReceivedSnapshot),
}

impl SnapshotData {
    /// The snapshot as one that `store` can install.
    pub(crate) fn received_by(self, store: &Store) -> Result<ReceivedSnapshot, StoreError> {
        match self {
            Self::Received(received) => Ok(received),
            Self::Held(held) => {
                let mut receiver = store.receive()?;
                let mut chunks = held.chunks()?;
                while let Some(chunk) = chunks.next_chunk()? {
                    receiver.push(&chunk)?;
                }
                receiver.complete()
            }
        }
    }
}
