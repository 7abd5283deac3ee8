//! The state machine: the applied state in the store, and the order of log writes and checkpoints.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use quorate_disk::is_out_of_space;
use quorate_log::Log;
use quorate_peer::{chain, message};
use quorate_state::{ClusterState, Level, LogIndex, millis};
use quorate_store::{ChangeFeed, CheckpointScope, IoSpeed, Meta, Store, StoreError};
use tokio::sync::{Notify, watch};

use super::{
    conversions::{IntoOpenraft, IntoOurs},
    entry_times::LastEntryTimes,
    log_storage::flushed,
    snapshot::{Snapshot, SnapshotData},
    types::{SnapshotMeta, StoredMembership},
};
use crate::{
    RaftMetrics,
    links::drop_in_background::DropInBackground,
    snapshots::transfers::{SharedSnapshot, SnapshotTransfers},
};

/// Used instead of the number of awaited voters until the founding entry is applied, because the
/// number is not known before.
pub(crate) const NOT_FOUNDED: u32 = u32::MAX;

/// The number of voters that the cluster needs before it serves packets; 0 if it serves.
fn voters_awaited(cluster: &ClusterState) -> u32 {
    match cluster.id {
        Some(_) => cluster.forming.unwrap_or_default(),
        None => NOT_FOUNDED,
    }
}

/// Applies entries to the store and writes checkpoints of it. Clones share it.
#[derive(Clone)]
pub(crate) struct StateMachine {
    pub(super) store: Arc<Store>,
    pub(super) log: Arc<Log>,
    /// What is applied, for tasks that wait for it.
    pub(super) applied: watch::Sender<Meta>,
    /// The last applied entry. Every read checks it, so it needs no lock.
    applied_index: Arc<AtomicU64>,
    /// What [`voters_awaited`] returns. Every read checks it.
    forming: Arc<AtomicU32>,
    /// By how much time was set back, in milliseconds. Every read checks it.
    set_back_ms: Arc<AtomicU64>,
    /// The changes of packets, for clients that watch them.
    pub(crate) feed: Arc<ChangeFeed>,
    /// Grows when the applied zones or secrets change, and when more secrets can be opened. Starts at 1: 0
    /// means a node that has none yet.
    zone_version: watch::Sender<u64>,
    /// The version that DNS serves.
    served_version: Arc<AtomicU64>,
    /// Notified when damage of the store on disk was seen.
    pub(crate) damage: Arc<Notify>,
    /// The snapshots of the store that are being sent to peers.
    pub(super) transfers: SnapshotTransfers,
    /// The highest feature level that this program supports.
    pub(super) level_max: Level,
    pub(super) metrics: RaftMetrics,
    /// When the last entries were appended and applied.
    pub(crate) entry_times: LastEntryTimes,
    /// Whether entries must follow each other. Only openraft's own test suite applies others.
    pub(super) in_order: bool,
}

impl StateMachine {
    pub(crate) fn new(
        store: Arc<Store>,
        log: Arc<Log>,
        level_max: Level,
        metrics: RaftMetrics,
    ) -> Self {
        let meta = store.meta();
        let applied_index = meta.applied_index();
        let forming = voters_awaited(&meta.cluster);
        let set_back_ms = millis(meta.cluster.time.set_back_by());
        let applied = watch::Sender::new(meta);
        Self {
            store,
            log,
            applied,
            applied_index: Arc::new(AtomicU64::new(applied_index.0)),
            forming: Arc::new(AtomicU32::new(forming)),
            set_back_ms: Arc::new(AtomicU64::new(set_back_ms)),
            feed: Arc::new(ChangeFeed::new(applied_index)),
            zone_version: watch::Sender::new(1),
            served_version: Arc::default(),
            damage: Arc::default(),
            transfers: SnapshotTransfers::default(),
            level_max,
            metrics,
            entry_times: LastEntryTimes::default(),
            in_order: true,
        }
    }

    /// What is applied now. Drop the reference soon: it blocks writers.
    pub(crate) fn meta(&self) -> watch::Ref<'_, Meta> {
        self.applied.borrow()
    }

    /// Yields what is applied, now and later.
    pub(crate) fn applied(&self) -> watch::Receiver<Meta> {
        self.applied.subscribe()
    }

    /// The last applied entry. A read after this call sees its effect.
    pub(crate) fn applied_index(&self) -> LogIndex {
        LogIndex(self.applied_index.load(Ordering::Acquire))
    }

    /// The number of voters that the cluster needs before it serves packets, or [`NOT_FOUNDED`].
    /// `None` if it serves.
    pub(crate) fn forming(&self) -> Option<u32> {
        let awaited = self.forming.load(Ordering::Acquire);
        (awaited > 0).then_some(awaited)
    }

    /// By how much the stamps of packets are ahead of time, because time was set back.
    pub(crate) fn set_back(&self) -> Duration {
        Duration::from_millis(self.set_back_ms.load(Ordering::Relaxed))
    }

    /// A number that changes each time the applied zones or secrets change.
    pub(crate) fn zone_version(&self) -> u64 {
        *self.zone_version.borrow()
    }

    /// Yields that number, now and later.
    pub(crate) fn zone_versions(&self) -> watch::Receiver<u64> {
        self.zone_version.subscribe()
    }

    /// More secrets can be opened than before.
    pub(crate) fn bump_zone_version(&self) {
        self.zone_version.send_modify(|version| *version += 1);
    }

    /// DNS serves the zones of this version.
    pub(crate) fn set_served_version(&self, version: u64) {
        self.served_version.store(version, Ordering::Release);
    }

    /// DNS serves the zones as of this entry; 0 while it does not serve the last change of them.
    pub(crate) fn zones_served(&self) -> LogIndex {
        // Read first: a change of the zones raises the version before the index.
        let applied = self.applied_index();
        match self.served_version.load(Ordering::Acquire) >= self.zone_version() {
            true => applied,
            false => LogIndex(0),
        }
    }

    /// Publishes what is applied. A task that waits for it also finds the new version of its zones.
    pub(super) fn publish(&self, meta: Meta) {
        self.applied.send_modify(|applied| {
            let has_same_zones = applied.cluster.zones == meta.cluster.zones
                && applied.cluster.secrets == meta.cluster.secrets;
            *applied = meta;
            if !has_same_zones {
                self.bump_zone_version();
            }
            let index = applied.applied_index();
            self.applied_index.store(index.0, Ordering::Release);
            let forming = voters_awaited(&applied.cluster);
            self.forming.store(forming, Ordering::Release);
            let set_back = applied.cluster.time.set_back_by();
            self.set_back_ms.store(millis(set_back), Ordering::Relaxed);
        });
    }

    /// Writes a checkpoint of what is applied, while entries are applied and read, and returns what
    /// it includes.
    ///
    /// A file that turns out to be damaged is written again from memory.
    pub(crate) async fn checkpoint(
        &self,
        scope: CheckpointScope,
        speed: IoSpeed,
    ) -> io::Result<Meta> {
        match self.write_checkpoint(scope, speed).await? {
            Err(StoreError::Damaged(damage)) if scope == CheckpointScope::Changes => {
                tracing::error!(%damage, "the store is damaged on disk: writing it again from memory");
                let written = self
                    .write_checkpoint(CheckpointScope::Everything, speed)
                    .await?;
                written.map_err(store_error)
            }
            written => written.map_err(store_error),
        }
    }

    /// Writes a checkpoint of what has changed. If there is no space for it, the log keeps the
    /// entries.
    pub(crate) async fn checkpoint_if_it_fits(&self, speed: IoSpeed) -> io::Result<()> {
        match self.checkpoint(CheckpointScope::Changes, speed).await {
            Err(error) if is_out_of_space(&error) => {
                let error = chain(&error);
                tracing::warn!(
                    error,
                    "no space for a checkpoint: the log keeps its entries"
                );
                Ok(())
            }
            written => written.map(drop),
        }
    }

    /// The log is synced first. If the store were ahead of the log after a power loss, the entries
    /// of a new leader could replace log entries that the store includes.
    async fn write_checkpoint(
        &self,
        scope: CheckpointScope,
        speed: IoSpeed,
    ) -> io::Result<Result<Meta, StoreError>> {
        let store = self.store.clone();
        let checkpoint = blocking(move || Ok(store.begin_checkpoint(scope))).await?;
        flushed(|on_flushed| self.log.sync(on_flushed)).await?;
        let written = tokio::task::spawn_blocking(move || checkpoint.commit(speed)).await;
        written.map_err(io::Error::other)
    }

    /// The last checkpoint, to be sent to a peer.
    pub(crate) fn snapshot(&self) -> Result<quorate_store::Snapshot, StoreError> {
        self.store.snapshot().inspect_err(|error| match error {
            StoreError::NoSpace { .. } => {}
            _ => self.damage.notify_one(),
        })
    }

    /// Called when the store could not be read from disk. Notifies of damage, except if the read
    /// stopped for lack of space, which proves nothing about the file.
    pub(crate) fn on_failed_read(&self, error: &io::Error) {
        if !is_out_of_space(error) {
            self.damage.notify_one();
        }
    }

    pub(super) fn shared_snapshot(&self) -> io::Result<SharedSnapshot> {
        let snapshot = self.snapshot().map_err(io::Error::other)?;
        Ok(Arc::new(DropInBackground::new(snapshot)))
    }

    pub(super) fn local_snapshot(&self, snapshot: SharedSnapshot) -> io::Result<Snapshot> {
        Ok(Snapshot {
            meta: snapshot_meta(snapshot.meta())?,
            snapshot: SnapshotData::Local(snapshot, self.damage.clone()),
        })
    }
}

pub(super) fn snapshot_meta(meta: &Meta) -> io::Result<SnapshotMeta> {
    Ok(SnapshotMeta {
        last_log_id: meta.applied.into_openraft(),
        last_membership: applied_membership(meta)?.into_openraft()?,
    })
}

/// The members as of what is applied.
pub(crate) fn applied_membership(
    meta: &Meta,
) -> Result<message::StoredMembership, message::DecodeError> {
    match meta.membership.is_empty() {
        true => Ok(StoredMembership::default().into_ours()),
        false => message::StoredMembership::decode(&meta.membership),
    }
}

/// Runs slow work of the store outside of the runtime's threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> io::Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(io::Error::other)?.map_err(store_error)
}

/// An error of the store. A lack of space keeps its kind.
fn store_error(error: StoreError) -> io::Error {
    match error {
        StoreError::NoSpace { .. } => io::Error::new(io::ErrorKind::StorageFull, error),
        error => io::Error::other(error),
    }
}
