//! The state machine: the store, and the rules of log and checkpoint.

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
    log_storage::flushed,
    snapshot::{Snapshot, SnapshotData},
    types::{SnapshotMeta, StoredMembership},
};
use crate::{
    RaftMetrics,
    links::offloaded::Offloaded,
    snapshots::transfers::{SharedSnapshot, Transfers},
};

/// In place of how many voters the cluster waits for, until that is applied: it may wait for some.
pub(crate) const NOT_FOUNDED: u32 = u32::MAX;

/// How many voters the cluster waits for before it serves packets.
fn voters_awaited(cluster: &ClusterState) -> u32 {
    match cluster.id {
        Some(_) => cluster.forming.unwrap_or_default(),
        None => NOT_FOUNDED,
    }
}

/// Applies entries to the store and makes checkpoints of it.
#[derive(Clone)]
pub(crate) struct StateMachine {
    pub(super) store: Arc<Store>,
    pub(super) log: Arc<Log>,
    /// What is applied, for those who wait for it.
    pub(super) applied: watch::Sender<Meta>,
    /// The last entry of what is applied, for those who ask at every read.
    applied_index: Arc<AtomicU64>,
    /// How many voters the cluster waits for before it serves packets; 0: it serves. For those who ask
    /// at every read.
    forming: Arc<AtomicU32>,
    /// By how much time was set back, in milliseconds. For those who ask at every read.
    set_back_ms: Arc<AtomicU64>,
    /// What has changed in the packets, for those who wait for that.
    pub(crate) feed: Arc<ChangeFeed>,
    /// Grows when what is applied has other zones or cookie secrets. It begins at 1: 0 is a node that
    /// has none yet.
    zone_version: Arc<AtomicU64>,
    /// Told when what the store has on disk was seen to be damaged.
    pub(crate) damage: Arc<Notify>,
    /// The snapshots of it that are on their way to peers.
    pub(super) transfers: Transfers,
    /// The highest feature level that this program supports.
    pub(super) level_max: Level,
    pub(super) metrics: RaftMetrics,
    /// Whether entries must follow each other. Only openraft's own suite applies others.
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
            zone_version: Arc::new(AtomicU64::new(1)),
            damage: Arc::default(),
            transfers: Transfers::default(),
            level_max,
            metrics,
            in_order: true,
        }
    }

    /// What is applied now. To be held for a moment only.
    pub(crate) fn meta(&self) -> watch::Ref<'_, Meta> {
        self.applied.borrow()
    }

    /// What is applied, now and later.
    pub(crate) fn applied(&self) -> watch::Receiver<Meta> {
        self.applied.subscribe()
    }

    /// The last entry of what is applied. Whoever then reads finds what it did.
    pub(crate) fn applied_index(&self) -> LogIndex {
        LogIndex(self.applied_index.load(Ordering::Acquire))
    }

    /// How many voters the cluster waits for before it serves packets, if it does, or
    /// [`NOT_FOUNDED`].
    pub(crate) fn forming(&self) -> Option<u32> {
        let wanted = self.forming.load(Ordering::Acquire);
        (wanted > 0).then_some(wanted)
    }

    /// By how much the stamps of packets are ahead of time, since it was set back.
    pub(crate) fn set_back(&self) -> Duration {
        Duration::from_millis(self.set_back_ms.load(Ordering::Relaxed))
    }

    /// Another number each time that zones or cookie secrets have changed in what is applied.
    pub(crate) fn zone_version(&self) -> u64 {
        self.zone_version.load(Ordering::Acquire)
    }

    /// Publishes what is applied. Whoever waits for it finds the version of its zones there too.
    pub(super) fn publish(&self, meta: Meta) {
        self.applied.send_modify(|applied| {
            let has_same_zones = applied.cluster.zones == meta.cluster.zones;
            *applied = meta;
            let index = applied.applied_index();
            self.applied_index.store(index.0, Ordering::Release);
            let forming = voters_awaited(&applied.cluster);
            self.forming.store(forming, Ordering::Release);
            let set_back = applied.cluster.time.set_back_by();
            self.set_back_ms.store(millis(set_back), Ordering::Relaxed);
            if !has_same_zones {
                self.zone_version.fetch_add(1, Ordering::Release);
            }
        });
    }

    /// Makes durable what is applied, while more is applied and read, and says what that is.
    ///
    /// A file that turns out to be damaged is written anew.
    pub(crate) async fn checkpoint(
        &self,
        scope: CheckpointScope,
        speed: IoSpeed,
    ) -> io::Result<Meta> {
        match self.write_checkpoint(scope, speed).await? {
            Err(StoreError::Damaged(damage)) if scope == CheckpointScope::Changes => {
                tracing::error!(%damage, "writing the store anew from memory");
                let written = self
                    .write_checkpoint(CheckpointScope::Everything, speed)
                    .await?;
                written.map_err(store_error)
            }
            written => written.map_err(store_error),
        }
    }

    /// Makes durable what has changed. Without space for it the log goes on holding it.
    pub(crate) async fn checkpoint_if_it_fits(&self, speed: IoSpeed) -> io::Result<()> {
        match self.checkpoint(CheckpointScope::Changes, speed).await {
            Err(error) if is_out_of_space(&error) => {
                let error = chain(&error);
                tracing::warn!(error, "no checkpoint: the log stays as it is");
                Ok(())
            }
            made => made.map(drop),
        }
    }

    /// The log goes to disk first. Were the store ahead of it after a loss of power, entries that
    /// the store holds could be overwritten in the log by those of a new leader.
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

    /// What the store has on disk could not be read. One that was cut short for lack of space says
    /// nothing of it.
    pub(crate) fn on_failed_read(&self, error: &io::Error) {
        if !is_out_of_space(error) {
            self.damage.notify_one();
        }
    }

    pub(super) fn shared_snapshot(&self) -> io::Result<SharedSnapshot> {
        let snapshot = self.snapshot().map_err(io::Error::other)?;
        Ok(Arc::new(Offloaded::new(snapshot)))
    }

    pub(super) fn held(&self, snapshot: SharedSnapshot) -> io::Result<Snapshot> {
        Ok(Snapshot {
            meta: snapshot_meta(snapshot.meta())?,
            snapshot: SnapshotData::Held(snapshot, self.damage.clone()),
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

/// Runs slow work of the store beside the runtime's threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> io::Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(io::Error::other)?.map_err(store_error)
}

/// An error of the store; a lack of space can be told from others.
fn store_error(error: StoreError) -> io::Error {
    match error {
        StoreError::NoSpace { .. } => io::Error::new(io::ErrorKind::StorageFull, error),
        error => io::Error::other(error),
    }
}
