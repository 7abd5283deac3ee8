//! The state machine as openraft sees it: the store, and the rules of log + checkpoint.

use std::{
    any::Any,
    io,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use futures_util::{FutureExt, Stream, StreamExt};
use openraft::{
    EntryPayload, OptionalSend, RaftSnapshotBuilder,
    storage::{EntryResponder, RaftStateMachine},
};
use quorate_disk::is_out_of_space;
use quorate_log::Log;
use quorate_peer::{chain, message};
use quorate_replica::ChangedPacket;
use quorate_state::{ClusterState, Level, LogIndex, LogPosition, Outcome, UnsupportedLevel};
use quorate_store::ChangeFeed;
use quorate_store::{Extent, Meta, Pace, PacketsMut, Store, StoreError};
use tokio::sync::{Notify, watch};

use super::{
    conversions::{IntoOpenraft, IntoOurs},
    log_storage::flushed,
    snapshot::{Snapshot, SnapshotData},
    types::{EncodedCommand, Entry, LogId, SnapshotMeta, StoredMembership, TypeConfig},
};
use crate::{
    RaftMetrics,
    links::offloaded::Offloaded,
    snapshots::transfers::{SharedSnapshot, Transfers},
};

/// The most entries applied in one transaction.
const APPLY_COUNT_MAX: usize = 256;

/// The bytes of commands at which a transaction is closed: a few milliseconds of work, so that
/// catching up leaves room for everything else on the thread.
const APPLY_SIZE_MAX: usize = 256 * 1024;

/// Applies entries to the store and makes checkpoints of it.
#[derive(Clone)]
pub(crate) struct StateMachine {
    store: Arc<Store>,
    log: Arc<Log>,
    /// What is applied, for those who wait for it.
    applied: watch::Sender<Meta>,
    /// The last entry of what is applied, for those who ask at every read.
    applied_index: Arc<AtomicU64>,
    /// What has changed in the packets, for those who wait for that.
    feed: Arc<ChangeFeed>,
    /// Grows when what is applied has other zones or cookie secrets. It begins at 1: 0 is a node that
    /// has none yet.
    zone_version: Arc<AtomicU64>,
    /// Told when what the store has on disk was seen to be damaged.
    damage: Arc<Notify>,
    transfers: Transfers,
    /// The highest feature level that this program supports.
    level_max: Level,
    metrics: RaftMetrics,
    /// Whether entries must follow each other. Only openraft's own suite applies others.
    in_order: bool,
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
        let applied = watch::Sender::new(meta);
        Self {
            store,
            log,
            applied,
            applied_index: Arc::new(AtomicU64::new(applied_index.0)),
            feed: Arc::new(ChangeFeed::new(applied_index)),
            zone_version: Arc::new(AtomicU64::new(1)),
            damage: Arc::default(),
            transfers: Transfers::default(),
            level_max,
            metrics,
            in_order: true,
        }
    }

    /// What is applied, now and later.
    pub(crate) fn applied(&self) -> watch::Receiver<Meta> {
        self.applied.subscribe()
    }

    /// The last entry of what is applied. Whoever then reads finds what it did.
    pub(crate) fn applied_index(&self) -> LogIndex {
        LogIndex(self.applied_index.load(Ordering::Acquire))
    }

    /// What changes in the packets.
    pub(crate) fn feed(&self) -> &ChangeFeed {
        &self.feed
    }

    /// Another number each time that zones or cookie secrets have changed in what is applied.
    pub(crate) fn zone_version(&self) -> u64 {
        self.zone_version.load(Ordering::Acquire)
    }

    /// Publishes what is applied. Whoever waits for it finds the version of its zones there too.
    fn publish(&self, meta: Meta) {
        self.applied.send_modify(|applied| {
            let has_same_zones = applied.cluster.zones == meta.cluster.zones;
            *applied = meta;
            let index = applied.applied_index();
            self.applied_index.store(index.0, Ordering::Release);
            if !has_same_zones {
                self.zone_version.fetch_add(1, Ordering::Release);
            }
        });
    }

    /// The snapshots of it that are on their way to peers.
    pub(crate) fn transfers(&self) -> Transfers {
        self.transfers.clone()
    }

    /// Resolves when what the store has on disk was seen to be damaged.
    pub(crate) async fn damaged(&self) {
        self.damage.notified().await;
    }

    /// Makes durable what is applied, while more is applied and read, and says what that is.
    ///
    /// A file that turns out to be damaged is written anew.
    pub(crate) async fn checkpoint(&self, extent: Extent, pace: Pace) -> io::Result<Meta> {
        match self.write_checkpoint(extent, pace).await? {
            Err(StoreError::Damaged(damage)) if extent == Extent::Changes => {
                tracing::error!(%damage, "writing the store anew from memory");
                let written = self.write_checkpoint(Extent::Everything, pace).await?;
                written.map_err(store_error)
            }
            written => written.map_err(store_error),
        }
    }

    /// The log goes to disk first. Were the store ahead of it after a loss of power, entries that
    /// the store holds could be overwritten in the log by those of a new leader.
    async fn write_checkpoint(
        &self,
        extent: Extent,
        pace: Pace,
    ) -> io::Result<Result<Meta, StoreError>> {
        let store = self.store.clone();
        let checkpoint = blocking(move || Ok(store.begin_checkpoint(extent))).await?;
        flushed(|on_flushed| self.log.sync(on_flushed)).await?;
        let written = tokio::task::spawn_blocking(move || checkpoint.commit(pace)).await;
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

    /// Applies entries in groups, each of them in one transaction.
    async fn apply_all<S>(&self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + OptionalSend,
    {
        let mut group = Group::default();
        while let Some(item) = entries.next().await {
            group.push(item?);
            if group.is_full() {
                self.apply_group(std::mem::take(&mut group))?;
                tokio::task::yield_now().await;
            }
        }
        match group.entries.is_empty() {
            true => Ok(()),
            false => self.apply_group(group),
        }
    }

    /// Applies a group and answers those who wait for its entries. An entry that is beyond this
    /// program stops it, with those before it applied.
    fn apply_group(&self, group: Group) -> io::Result<()> {
        let (entries, responders): (Vec<_>, Vec<_>) = group.entries.into_iter().unzip();
        if self.in_order {
            check_order(self.applied.borrow().applied, &entries)?;
        }
        let mut changes = Vec::new();
        let (meta, outcomes) = self.store.transact(|packets, meta| {
            let outcomes = entries.into_iter().map(|entry| {
                let index = LogIndex(entry.log_id.index());
                let outcome = self.apply_entry(packets, meta, entry);
                let changed = packets.take_changed().into_iter();
                changes.extend(changed.map(|(key, kind)| ChangedPacket { index, key, kind }));
                outcome
            });
            outcomes.collect::<io::Result<Vec<_>>>()
        });
        // Before anybody hears that the entries are applied, and asks what they have changed.
        self.feed.publish(&changes, meta.applied_index());
        self.publish(meta);
        for (responder, outcome) in responders.into_iter().zip(outcomes?) {
            if let Some(responder) = responder {
                responder.send(outcome);
            }
        }
        Ok(())
    }

    fn apply_entry(
        &self,
        packets: &mut PacketsMut<'_>,
        meta: &mut Meta,
        entry: Entry,
    ) -> io::Result<Option<Outcome>> {
        let position = entry.log_id.into_ours();
        let outcome = match entry.payload {
            EntryPayload::Blank => None,
            EntryPayload::Normal(command) => {
                Some(self.apply_command(packets, &mut meta.cluster, position, command)?)
            }
            EntryPayload::Membership(membership) => {
                let stored = StoredMembership::new(Some(entry.log_id), membership);
                meta.membership = stored.into_ours().encode();
                None
            }
        };
        meta.applied = Some(position);
        Ok(outcome)
    }

    fn apply_command(
        &self,
        packets: &mut PacketsMut<'_>,
        cluster: &mut ClusterState,
        LogPosition { index, .. }: LogPosition,
        command: EncodedCommand,
    ) -> io::Result<Outcome> {
        let before = (cluster.level, cluster.capacity, cluster.names.id);
        let zones_before = cluster.zones.clone();
        let publishing_before = cluster.publishing.clone();
        let applied = quorate_state::apply(packets, cluster, self.level_max, command.0);
        let outcome = applied.map_err(|error| {
            let text = format!("entry {index} cannot be applied: {error}");
            io::Error::new(io::ErrorKind::Unsupported, text)
        })?;
        match &outcome {
            Outcome::Put { evicted_count, .. } => {
                self.metrics.evicted_packets_total.inc_by(*evicted_count);
            }
            Outcome::Expired(_) | Outcome::Joined(_) => {}
            Outcome::Deleted { existed } => {
                tracing::info!(%index, existed, "an operator has deleted a packet");
            }
            Outcome::Agreed if zones_before != cluster.zones => {
                let records_size = cluster.zones.size();
                let rotated = cluster.zones.cookie_secrets.rotated;
                tracing::debug!(%index, records_size, %rotated, "zones or cookie secrets have changed");
            }
            Outcome::Agreed if publishing_before != cluster.publishing => {
                let mode = cluster.publishing.mode;
                tracing::info!(%index, ?mode, "who may publish has changed");
            }
            Outcome::Agreed if before == (cluster.level, cluster.capacity, cluster.names.id) => {
                tracing::debug!(%index, "the cluster has agreed on what is known of nodes");
            }
            Outcome::Agreed => tracing::info!(
                %index,
                id = cluster.names.id.map(tracing::field::display),
                level = %cluster.level,
                packets_max = cluster.capacity.map(|capacity| capacity.count_max),
                size_max = cluster.capacity.map(|capacity| capacity.size_max),
                "the cluster has agreed"
            ),
            Outcome::Rejected(error) => {
                let reason = chain(error);
                tracing::error!(%index, reason, "rejected a log entry");
            }
        }
        Ok(outcome)
    }

    fn shared_snapshot(&self) -> io::Result<SharedSnapshot> {
        let snapshot = self.snapshot().map_err(io::Error::other)?;
        Ok(Arc::new(Offloaded::new(snapshot)))
    }

    fn held(&self, snapshot: SharedSnapshot) -> io::Result<Snapshot> {
        Ok(Snapshot {
            meta: snapshot_meta(snapshot.meta())?,
            snapshot: SnapshotData::Held(snapshot, self.damage.clone()),
        })
    }
}

/// Entries to apply in one transaction.
#[derive(Default)]
struct Group {
    entries: Vec<EntryResponder<TypeConfig>>,
    size: usize,
}

impl Group {
    fn push(&mut self, item: EntryResponder<TypeConfig>) {
        if let EntryPayload::Normal(command) = &item.0.payload {
            self.size += command.0.len();
        }
        self.entries.push(item);
    }

    fn is_full(&self) -> bool {
        self.entries.len() >= APPLY_COUNT_MAX || self.size >= APPLY_SIZE_MAX
    }
}

/// Entries are applied one after the other, from the first on: one that is missing would make this
/// replica another than the others, for ever.
fn check_order(applied: Option<LogPosition>, entries: &[Entry]) -> io::Result<()> {
    let first = applied.map_or(0, |applied| applied.index.next().0);
    for (next, entry) in (first..).zip(entries) {
        let index = entry.log_id.index();
        if index != next {
            let text = format!("entry {index} comes where {next} is to be applied");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
    }
    Ok(())
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotData = SnapshotData;
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        let meta = snapshot_meta(&self.store.meta())?;
        Ok((meta.last_log_id, meta.last_membership))
    }

    /// A panic here would end openraft's task for the state machine and leave consensus running:
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
        // What openraft cut off the log for this snapshot must not come back behind it.
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
        self.feed.begin_anew(meta.applied_index());
        self.publish(meta);
        Ok(())
    }

    /// One that is on its way to a peer comes before the last one: openraft asks for it when a
    /// transfer is tried again, and takes the peer to have what this one says. What a peer needs behind
    /// it stays in the log as long as it is held.
    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        let snapshot = match self.transfers.snapshot() {
            Some(on_its_way) => on_its_way,
            None => self.shared_snapshot()?,
        };
        match snapshot.meta().applied {
            Some(_) => self.held(snapshot).map(Some),
            None => Ok(None),
        }
    }
}

impl RaftSnapshotBuilder<TypeConfig> for StateMachine {
    type SnapshotData = SnapshotData;

    /// A panic here would leave openraft waiting for this snapshot for ever, and an error would end
    /// the node. So without space for a new one it is the last one again, in which openraft finds
    /// nothing new.
    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        let built = async {
            match self.checkpoint(Extent::Changes, Pace::Gentle).await {
                Err(error) if is_out_of_space(&error) => {
                    tracing::warn!(
                        error = chain(&error),
                        "no checkpoint: the log stays as it is"
                    );
                }
                made => drop(made?),
            }
            self.held(self.shared_snapshot()?)
        };
        let built = AssertUnwindSafe(built).catch_unwind().await;
        built.unwrap_or_else(|panic| Err(panicked(&*panic)))
    }
}

fn too_old_for_snapshot(error: UnsupportedLevel) -> io::Error {
    let text = format!("a snapshot cannot be installed: {error}");
    io::Error::new(io::ErrorKind::Unsupported, text)
}

fn snapshot_meta(meta: &Meta) -> io::Result<SnapshotMeta> {
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

fn panicked(panic: &(dyn Any + Send)) -> io::Error {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    let text = text.unwrap_or("without a word");
    io::Error::other(format!("the state machine panicked: {text}"))
}

#[cfg(test)]
#[path = "storage_tests.rs"]
mod tests;
