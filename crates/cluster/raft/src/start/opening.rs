//! Opens log and store. Either both are undamaged and fit together, or the node fetches its packets
//! from another member, or it does not start.

use std::sync::Arc;

use quorate_log::{LOG_DIR, Log};
use quorate_peer::chain;
use quorate_replica::NotReady;
use quorate_state::LogPosition;
use quorate_store::{Store, StoreError};

use crate::{
    NodeMetrics, OpenError, RaftConfig, adapters::flushed, leadership::slow_disk::SyncMeter,
    links::peers::Peers, metrics::ScrubTarget, secrets::cluster_keys::ClusterKeys,
    snapshots::pull::pull_packets,
};

/// Opens the store. If its packets are damaged, or older than the first entry of the log, they are
/// rebuilt from the log if it was never purged, or else fetched from another member. Fails for a
/// node that is a cluster by itself and cannot rebuild them.
pub(crate) async fn open_packets(
    config: &RaftConfig,
    peers: &Peers,
    metrics: &NodeMetrics,
    log: &Arc<Log>,
    enter: &(dyn Fn(NotReady) + Send + Sync),
) -> Result<Arc<Store>, OpenError> {
    let damage = match open_store(config, metrics).await {
        Ok(store) => match check_no_gap(&store, log) {
            Ok(()) => return Ok(store),
            Err(gap) => gap,
        },
        Err(damage @ OpenError::Store(StoreError::Damaged(_))) => damage,
        Err(error) => return Err(error),
    };
    metrics.raft.damage_total.of(ScrubTarget::Store).inc();
    tracing::error!(damage = chain(&damage), "the stored packets cannot be used");
    if log.state().purged.is_none() && log.state().last.is_some() {
        tracing::info!("the log has every entry from the first on: rebuilding the store from it");
        let set_aside = config.set_store_aside();
        set_aside.map_err(OpenError::step("rename its damaged store"))?;
        return open_store(config, metrics).await;
    }
    if peers.membership_view.members().len() < 2 {
        return Err(damage);
    }
    enter(NotReady::Healing);
    fetch_packets(config, peers, metrics, log).await
}

pub(crate) async fn open_log(
    config: &RaftConfig,
    metrics: &NodeMetrics,
    sync_meter: Arc<SyncMeter>,
) -> Result<Arc<Log>, OpenError> {
    let log_config = quorate_log::LogConfig {
        sync_observer: Some(sync_meter),
        ..quorate_log::LogConfig::new(config.disk.clone(), config.dir.join(LOG_DIR))
    };
    let (metrics, dir, has_joined) = (metrics.log.clone(), config.dir.clone(), config.has_joined);
    run_blocking(move || {
        let log = Log::open(log_config, metrics)?;
        match has_joined && log.state().last.is_none() {
            true => Err(OpenError::DataLost(dir)),
            false => Ok(Arc::new(log)),
        }
    })
    .await
}

pub(crate) async fn open_keys(config: &RaftConfig) -> Result<ClusterKeys, OpenError> {
    let (disk, dir) = (config.disk.clone(), config.dir.clone());
    run_blocking(move || Ok(ClusterKeys::open(disk, &dir)?)).await
}

async fn open_store(config: &RaftConfig, metrics: &NodeMetrics) -> Result<Arc<Store>, OpenError> {
    let (store, metrics) = (config.store(), metrics.store.clone());
    let store = run_blocking(move || Ok(Arc::new(Store::open(store, metrics)?))).await?;
    store.meta().cluster.level.check(config.level_max)?;
    Ok(store)
}

/// Fails if entries are missing between what the store reflects and the first of the log.
fn check_no_gap(store: &Store, log: &Log) -> Result<(), OpenError> {
    let applied = store.meta().applied;
    match log.state().purged {
        Some(purged) if applied.is_none_or(|applied| applied.index < purged.index) => {
            Err(OpenError::Gap {
                applied: store.meta().applied_index(),
                purged: purged.index,
            })
        }
        _ => Ok(()),
    }
}

/// Replaces the packets of this node with those of another member.
async fn fetch_packets(
    config: &RaftConfig,
    peers: &Peers,
    metrics: &NodeMetrics,
    log: &Arc<Log>,
) -> Result<Arc<Store>, OpenError> {
    let index_min = log.state().purged.map(|purged| purged.index);
    let index_min = index_min.unwrap_or_default();
    let (received, meta) = pull_packets(config, peers, index_min).await?;
    if let Some(applied) = meta.applied {
        let aligned = align_log_with(log, applied).await;
        aligned.map_err(OpenError::step(
            "truncate its log for the packets that it fetched",
        ))?;
    }
    let (config, metrics) = (config.store(), metrics.store.clone());
    run_blocking(move || {
        let store = Store::create_from(config, received, meta, metrics)?;
        Ok(Arc::new(store))
    })
    .await
}

/// Keeps the entries of the log after a snapshot, if the log has the last entry of the snapshot. A
/// log that ends earlier continues after the snapshot. A log with a different entry there loses
/// that entry and all after it, which were never committed, and also continues after the snapshot
/// (Raft paper, figure 13, steps 6 and 7). The log is changed before the store: if the node stops
/// in between, it fetches the packets again.
async fn align_log_with(log: &Arc<Log>, last: LogPosition) -> std::io::Result<()> {
    let index = last.index.0;
    let entries = log.read(index.saturating_sub(1)..index + 1, usize::MAX)?;
    let at = |index| {
        let mut positions = entries.iter().map(|(position, _)| *position);
        positions.find(|position| position.index.0 == index)
    };
    let purged = log.state().purged;
    if at(index) == Some(last) || purged >= Some(last) {
        return Ok(());
    }
    if at(index).is_some() {
        let before = index.checked_sub(1).and_then(at);
        log.truncate_after(before.max(purged))?;
    }
    log.purge(last)?;
    flushed(|on_flushed| log.sync(on_flushed)).await
}

/// Runs slow work outside of the runtime's threads: reading log and store takes seconds.
async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, OpenError> + Send + 'static,
) -> Result<T, OpenError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(OpenError::step("read its data"))?
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use quorate_sim::SimDisk;

    use super::*;

    fn at(term: u64, index: u64) -> LogPosition {
        LogPosition::new(term, index)
    }

    /// The state of a log with these entries after it was aligned to a snapshot that ends at
    /// `last`.
    async fn aligned(entries: &[LogPosition], last: LogPosition) -> quorate_log::State {
        let config = quorate_log::LogConfig::new(Arc::new(SimDisk::new()), "/log");
        let metrics = quorate_log::LogMetrics::register(&quorate_metrics::Registry::new()).unwrap();
        let log = Arc::new(Log::open(config, metrics).unwrap());
        let entries = entries.iter().map(|position| (*position, Bytes::new()));
        flushed(|on_flushed| log.append(entries, on_flushed))
            .await
            .unwrap();
        align_log_with(&log, last).await.unwrap();
        log.state()
    }

    #[tokio::test]
    async fn a_log_keeps_what_follows_the_snapshot() {
        let entries = [at(1, 0), at(1, 1), at(2, 2)];
        let kept = aligned(&entries, at(1, 1)).await;
        assert_eq!((kept.purged, kept.last), (None, Some(at(2, 2))));
    }

    #[tokio::test]
    async fn a_log_that_ends_before_the_snapshot_continues_after_it() {
        let kept = aligned(&[at(1, 0), at(1, 1)], at(2, 7)).await;
        assert_eq!((kept.purged, kept.last), (Some(at(2, 7)), Some(at(2, 7))));
    }

    #[tokio::test]
    async fn a_log_with_a_different_entry_there_continues_after_the_snapshot() {
        let entries = [at(1, 0), at(1, 1), at(1, 2), at(1, 3)];
        let kept = aligned(&entries, at(2, 2)).await;
        assert_eq!((kept.purged, kept.last), (Some(at(2, 2)), Some(at(2, 2))));
    }
}
