//! The state machine as openraft sees it.

use std::{any::Any, io, panic::AssertUnwindSafe};

use futures_util::{FutureExt, Stream};
use openraft::{
    OptionalSend, RaftSnapshotBuilder,
    storage::{EntryResponder, RaftStateMachine},
};
use quorate_state::UnsupportedLevel;
use quorate_store::{IoSpeed, Meta};

use super::{
    conversions::IntoOurs,
    log_storage::flushed,
    snapshot::{Snapshot, SnapshotData},
    state_machine::{StateMachine, blocking, snapshot_meta},
    types::{LogId, SnapshotMeta, StoredMembership, TypeConfig},
};

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotData = SnapshotData;
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        let meta = snapshot_meta(&self.store.meta())?;
        Ok((meta.last_log_id, meta.last_membership))
    }

    /// A panic here would end openraft's task for the state machine while consensus continues. So
    /// it becomes an error, which stops the node.
    async fn apply<S>(&mut self, entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + OptionalSend,
    {
        let applied = AssertUnwindSafe(self.apply_all(entries)).catch_unwind();
        applied.await.unwrap_or_else(|panic| Err(panicked(&*panic)))
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: SnapshotData,
    ) -> io::Result<()> {
        let level = snapshot.cluster().level;
        level.check(self.level_max).map_err(too_old_for_snapshot)?;
        // Entries that openraft removed from the log for this snapshot must not reappear after it.
        flushed(|on_flushed| self.log.sync(on_flushed)).await?;
        let new = Meta {
            applied: meta.last_log_id.into_ours(),
            membership: meta.last_membership.into_ours().encode(),
            ..Meta::default()
        };
        let store = self.store.clone();
        let installed = blocking(move || {
            snapshot.install(&store, new)?;
            Ok(store.meta())
        });
        let meta = installed.await?;
        self.feed.reset(meta.applied_index());
        self.publish(meta);
        Ok(())
    }

    /// The snapshot that is being sent to a peer, or else the last one. openraft requests it when a
    /// transfer is retried, and assumes that the peer has the last entry of this snapshot. The
    /// entries that a peer needs after it stay in the log as long as the snapshot is kept.
    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        let snapshot = match self.transfers.snapshot() {
            Some(in_transfer) => in_transfer,
            None => self.shared_snapshot()?,
        };
        match snapshot.meta().applied {
            Some(_) => self.local_snapshot(snapshot).map(Some),
            None => Ok(None),
        }
    }
}

impl RaftSnapshotBuilder<TypeConfig> for StateMachine {
    type SnapshotData = SnapshotData;

    /// A panic here would leave openraft waiting for this snapshot for ever, and an error would
    /// stop the node. So without space for a new one this returns the last one again, in which
    /// openraft finds nothing new.
    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        let built = async {
            self.checkpoint_if_it_fits(IoSpeed::Gentle).await?;
            self.local_snapshot(self.shared_snapshot()?)
        };
        let built = AssertUnwindSafe(built).catch_unwind().await;
        built.unwrap_or_else(|panic| Err(panicked(&*panic)))
    }
}

fn too_old_for_snapshot(error: UnsupportedLevel) -> io::Error {
    let text = format!("a snapshot cannot be installed: {error}");
    io::Error::new(io::ErrorKind::Unsupported, text)
}

fn panicked(panic: &(dyn Any + Send)) -> io::Error {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    let text = text.unwrap_or("without a message");
    io::Error::other(format!("the state machine panicked: {text}"))
}

#[cfg(test)]
#[path = "storage_tests.rs"]
mod tests;
