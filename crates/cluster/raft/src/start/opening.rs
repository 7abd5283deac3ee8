//! Opening log and store: either both are whole and fit together, or the node heals its packets, or
//! it does not start.

use std::sync::Arc;

use quorate_log::Log;
use quorate_peer::chain;
use quorate_replica::NotReady;
use quorate_state::LogPosition;
use quorate_store::{Store, StoreError};

use crate::{
    NodeMetrics, OpenError, RaftConfig, adapters::flushed, config::LOG_DIR,
    leadership::slow_disk::SyncMeter, links::peers::Peers, metrics::Scrubbed,
    snapshots::pull::pull_packets,
};

/// Opens the store behind `log`. If the packets are damaged, or older than what the log reaches back
/// to, a log that was never purged gives them anew, or else another member does; a node by itself
/// does not start then.
pub(crate) async fn open_packets(
    config: &RaftConfig,
    peers: &Peers,
    metrics: &NodeMetrics,
    log: &Arc<Log>,
    enter: &(dyn Fn(NotReady) + Send + Sync),
) -> Result<Arc<Store>, OpenError> {
    let damage = match open_store(config, metrics).await {
        Ok(store) => match check_reach(&store, log) {
            Ok(()) => return Ok(store),
            Err(gap) => gap,
        },
        Err(damage @ OpenError::Store(StoreError::Damaged(_))) => damage,
        Err(error) => return Err(error),
    };
    metrics.raft.damage_total.of(Scrubbed::Store).inc();
    tracing::error!(damage = chain(&damage), "the stored packets cannot be used");
    if log.state().purged.is_none() && log.state().last.is_some() {
        tracing::info!("the log has every entry since the first: applying all of them anew");
        let set_aside = config.set_store_aside();
        set_aside.map_err(OpenError::step("set its damaged store aside"))?;
        return open_store(config, metrics).await;
    }
    if peers.membership_view.members().len() < 2 {
        return Err(damage);
    }
    enter(NotReady::Healing);
    heal(config, peers, metrics, log).await
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
    in_background(move || {
        let log = Log::open(log_config, metrics)?;
        match has_joined && log.state().last.is_none() {
            true => Err(OpenError::DataLost(dir)),
            false => Ok(Arc::new(log)),
        }
    })
    .await
}

async fn open_store(config: &RaftConfig, metrics: &NodeMetrics) -> Result<Arc<Store>, OpenError> {
    let (store, metrics) = (config.store(), metrics.store.clone());
    let store = in_background(move || Ok(Arc::new(Store::open(store, metrics)?))).await?;
    store.meta().cluster.level.check(config.level_max)?;
    Ok(store)
}

/// Fails if there are entries between what the store reflects and the first of the log.
fn check_reach(store: &Store, log: &Log) -> Result<(), OpenError> {
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

/// Puts the packets of another member in place of those of this node.
async fn heal(
    config: &RaftConfig,
    peers: &Peers,
    metrics: &NodeMetrics,
    log: &Arc<Log>,
) -> Result<Arc<Store>, OpenError> {
    let at_least = log.state().purged.map(|purged| purged.index);
    let at_least = at_least.unwrap_or_default();
    let (received, meta) = pull_packets(config, peers, at_least).await?;
    if let Some(applied) = meta.applied {
        let followed = follow_snapshot(log, applied).await;
        followed.map_err(OpenError::step("cut its log for the packets it fetched"))?;
    }
    let (config, metrics) = (config.store(), metrics.store.clone());
    in_background(move || {
        let store = Store::create_from(config, received, meta, metrics)?;
        Ok(Arc::new(store))
    })
    .await
}

/// Keeps what the log has behind a snapshot, if it has the snapshot's last entry. A shorter log
/// begins anew behind it. One with another entry there loses that and what follows, which was never
/// committed, and begins anew too (Raft paper, figure 13, steps 6 and 7). The log first: should the
/// node stop in between, it heals again.
async fn follow_snapshot(log: &Arc<Log>, last: LogPosition) -> std::io::Result<()> {
    let index = last.index.0;
    let found = log.read(index.saturating_sub(1)..index + 1, usize::MAX)?;
    let at = |index| {
        let mut positions = found.iter().map(|(position, _)| *position);
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

/// Runs slow work beside the runtime's threads: reading log and store takes seconds.
async fn in_background<T: Send + 'static>(
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

    /// A log of these entries that follows a snapshot which ends at `last`: what is left of it.
    async fn followed(entries: &[LogPosition], last: LogPosition) -> quorate_log::State {
        let config = quorate_log::LogConfig::new(Arc::new(SimDisk::new()), "/log");
        let metrics = quorate_log::LogMetrics::register(&quorate_metrics::Registry::new()).unwrap();
        let log = Arc::new(Log::open(config, metrics).unwrap());
        let entries = entries.iter().map(|position| (*position, Bytes::new()));
        flushed(|on_flushed| log.append(entries, on_flushed))
            .await
            .unwrap();
        follow_snapshot(&log, last).await.unwrap();
        log.state()
    }

    #[tokio::test]
    async fn a_log_keeps_what_follows_the_snapshot() {
        let entries = [at(1, 0), at(1, 1), at(2, 2)];
        let kept = followed(&entries, at(1, 1)).await;
        assert_eq!((kept.purged, kept.last), (None, Some(at(2, 2))));
    }

    #[tokio::test]
    async fn a_log_that_ends_before_the_snapshot_begins_behind_it() {
        let kept = followed(&[at(1, 0), at(1, 1)], at(2, 7)).await;
        assert_eq!((kept.purged, kept.last), (Some(at(2, 7)), Some(at(2, 7))));
    }

    #[tokio::test]
    async fn a_log_with_another_entry_there_begins_behind_the_snapshot() {
        let entries = [at(1, 0), at(1, 1), at(1, 2), at(1, 3)];
        let kept = followed(&entries, at(2, 2)).await;
        assert_eq!((kept.purged, kept.last), (Some(at(2, 2)), Some(at(2, 2))));
    }
}
