//! The files of the first node of a new cluster.

use std::{io, path::PathBuf, sync::Arc, sync::mpsc};

use quorate_disk::Disk;
use quorate_log::{LOG_DIR, Log, LogConfig, LogMetrics, SavedVote};
use quorate_metrics::Registry;
use quorate_peer::{
    NodeId,
    message::{Membership, StoredMembership},
};
use quorate_state::{
    ClusterState, ClusterTime, LogIndex, LogPosition, StoredPacket, StoredPackets,
};
use quorate_store::{
    CheckpointScope, IoSpeed, PacketsSummary, STORE_FILE, Store, StoreConfig, StoreMetrics,
};

use crate::RecoveryError;

/// How far the first index of the new cluster is above the last known one of the old.
///
/// A lost member may have had later entries than those that survived, and a reader may know their indexes. The
/// busiest cluster needs more than a day for a billion entries.
pub const HISTORY_GAP: u64 = 1_000_000_000;

/// How many packets are put in one transaction.
const PUT_COUNT: usize = 1024;

/// The cache of the store while its file is written, in bytes.
const CACHE_SIZE: usize = 64 * 1024 * 1024;

/// The first node of a new cluster.
#[derive(Debug, Clone)]
pub struct NewNode {
    pub disk: Arc<dyn Disk>,
    /// Its data directory, without log and store.
    pub dir: PathBuf,
    pub node: NodeId,
    /// The `host:port` at which other nodes reach it.
    pub address: String,
}

/// Prepares `new` with these packets, in any order, and this state. `last` is the last position of the history
/// that they are from. Returns the count, size and hash of the packets.
///
/// Reports to `on_progress` how many packets are read.
pub fn restore<E>(
    new: &NewNode,
    last: LogPosition,
    cluster: &ClusterState,
    packets: impl Iterator<Item = Result<StoredPacket, E>>,
    mut on_progress: impl FnMut(u64),
) -> Result<PacketsSummary, RecoveryError>
where
    E: std::error::Error + Send + Sync + 'static,
{
    let store = new.create_store(Store::open)?;
    let mut batch = Vec::with_capacity(PUT_COUNT);
    let mut put = |batch: &mut Vec<StoredPacket>, count: &mut u64| {
        *count += batch.len() as u64;
        store.transact(|packets, _| batch.drain(..).for_each(|stored| packets.put(&stored)));
        on_progress(*count);
    };
    let mut count = 0;
    for packet in packets {
        let packet = packet.map_err(|error| RecoveryError::Source(Box::new(error)))?;
        batch.push(packet);
        if batch.len() == PUT_COUNT {
            put(&mut batch, &mut count);
        }
    }
    put(&mut batch, &mut count);
    store.transact(|_, meta| meta.cluster = cluster.clone());
    new.finish(&store, last)
}

impl NewNode {
    /// Creates its store. The caller may fill it before [`finish`](Self::finish).
    pub(crate) fn create_store(
        &self,
        create: impl FnOnce(StoreConfig, StoreMetrics) -> Result<Store, quorate_store::StoreError>,
    ) -> Result<Store, RecoveryError> {
        let disk = &self.disk;
        disk.create_dir(&self.dir)
            .map_err(|source| RecoveryError::Write {
                path: self.dir.clone(),
                source,
            })?;
        Ok(create(store_config(disk, &self.dir), store_metrics())?)
    }

    /// Makes what is in the store the state of a new cluster whose history begins after `last`, and creates
    /// the log.
    pub(crate) fn finish(
        &self,
        store: &Store,
        last: LogPosition,
    ) -> Result<PacketsSummary, RecoveryError> {
        let start = LogPosition {
            term: quorate_state::Term(last.term.0 + 1),
            index: LogIndex(last.index.0.saturating_add(HISTORY_GAP)),
        };
        let membership = StoredMembership {
            position: Some(start),
            membership: Membership {
                configs: vec![[self.node].into()],
                nodes: [(self.node, self.address.clone())].into(),
            },
        };
        // The log first, as for every checkpoint.
        self.create_log(start)
            .map_err(|source| RecoveryError::Write {
                path: self.dir.join(LOG_DIR),
                source,
            })?;
        let latest = store.latest_received();
        let (meta, ()) = store.transact(|_, meta| {
            let cluster = &mut meta.cluster;
            *cluster = cluster.without_secrets();
            if cluster.time.last_in_log().is_none()
                && let Some(latest) = latest
            {
                cluster.time = ClusterTime::starting_at(latest);
            }
            cluster.restored = Some(cluster.time.last_stamp());
            meta.applied = Some(start);
            meta.membership = membership.encode();
        });
        let everything = store.begin_checkpoint(CheckpointScope::Everything);
        everything.commit(IoSpeed::Fast)?;
        Ok(meta.packets)
    }

    /// Creates a log that starts after `start`, with a vote in that term: the node's first election is in the
    /// next one.
    fn create_log(&self, start: LogPosition) -> io::Result<()> {
        let config = LogConfig::new(self.disk.clone(), self.dir.join(LOG_DIR));
        let log = Log::open(config, log_metrics()).map_err(io::Error::other)?;
        let vote = SavedVote {
            term: start.term.0,
            committed: false,
            node: *self.node.0.as_bytes(),
        };
        let (flushed, result) = mpsc::channel();
        log.purge(start)?;
        log.save_vote(vote, Box::new(move |saved| drop(flushed.send(saved))))?;
        result.recv().map_err(io::Error::other)?
    }
}

pub(crate) fn store_config(disk: &Arc<dyn Disk>, dir: &std::path::Path) -> StoreConfig {
    StoreConfig {
        disk: disk.clone(),
        path: dir.join(STORE_FILE),
        cache_size: CACHE_SIZE,
    }
}

// Nobody reads these metrics: the command ends before anything could.

pub(crate) fn store_metrics() -> StoreMetrics {
    StoreMetrics::register(&Registry::new()).expect("the names are unique in their room")
}

fn log_metrics() -> LogMetrics {
    LogMetrics::register(&Registry::new()).expect("the names are unique in their room")
}
