//! The status of the node as metrics.

use prometheus::Opts;
use quorate_metrics::{Error, Gauge, Registry};
use quorate_replica::{BackupStatus, ClockState, NodeStatus, Role};
use strum::VariantArray;

use crate::Build;

quorate_metrics::metrics! {
    struct RaftMetrics in "quorate_raft" {
        /// 1 for the role of the node, 0 for the others
        role: Gauge { role: Role },
        /// The current term
        term: Gauge,
        /// Whether a leader is known
        known_leader: Gauge,
        /// Whether the node is ready to serve everything
        ready: Gauge,
        /// The number of voters
        voters: Gauge,
        /// The last entry in the local log
        last_log_index: Gauge,
        /// The last entry that this node knows to be committed
        committed_index: Gauge,
        /// The last entry applied to the local replica
        applied_index: Gauge,
        /// The last entry in the durable checkpoint
        checkpoint_index: Gauge,
        /// The last entry removed from the log
        purged_index: Gauge,
        /// Entries known to be committed and not applied yet
        lag_entries: Gauge,
        /// On the leader, the entries that the voter furthest behind lacks; 0 on other nodes
        replication_lag_entries: Gauge,
        /// The feature level of commands that the cluster has agreed on
        feature_level: Gauge,
    }
}

quorate_metrics::metrics! {
    struct ClockMetrics in "quorate_clock" {
        /// 1 for the state of the time that the node uses, 0 for the others. agreed: a majority of the voters' clocks agree, including this node's; disagrees: a majority agree, without this node's; held: no majority agree any more, so nothing expires; unknown: no majority agreed yet
        state: Gauge { state: ClockState },
        /// How far this node's clock is ahead of the time that a majority agrees on, in whole seconds; 0 if there is no majority
        offset_seconds: Gauge,
    }
}

quorate_metrics::metrics! {
    struct BackupMetrics in "quorate_backup" {
        /// When the last scheduled backup of the cluster was saved and verified, in seconds since 1970; 0 if none was
        saved_timestamp_seconds: Gauge,
        /// Its size, in bytes
        size_bytes: Gauge,
        /// When a scheduled backup of the cluster failed last, in seconds since 1970; 0 if none did
        failed_timestamp_seconds: Gauge,
        /// How many have failed since the last one was saved
        failures: Gauge,
    }
}

quorate_metrics::metrics! {
    struct StoreMetrics in "quorate_store" {
        /// The number of packets
        packets: Gauge,
        /// The most packets that the cluster stores; 0 if it has not agreed on that
        packets_max: Gauge,
        /// The size of all packets with their keys, in bytes
        packets_bytes: Gauge,
        /// The most bytes of all packets together; 0 if the cluster has not agreed on that
        packets_bytes_max: Gauge,
        /// The size of the store's file, in bytes
        size_bytes: Gauge,
    }
}

/// Metrics that are set from the status at each scrape. So those of one scrape are consistent, and
/// they cost nothing between scrapes.
pub(crate) struct StatusMetrics {
    raft: RaftMetrics,
    clock: ClockMetrics,
    backup: BackupMetrics,
    store: StoreMetrics,
}

/// The version of the program, in the labels of a metric that is always 1.
fn register_build_info(registry: &Registry, build: Build) -> Result<(), Error> {
    let help = "1 for the version of the program and the commit that it was built from";
    let opts = Opts::new("quorate_build_info", help)
        .const_label("version", build.version)
        .const_label("commit", build.git_hash);
    let info = Gauge::with_opts(opts)?;
    info.set(1);
    registry.register(Box::new(info))
}

impl StatusMetrics {
    pub(crate) fn register(registry: &Registry, build: Build) -> Result<Self, Error> {
        register_build_info(registry, build)?;
        Ok(Self {
            raft: RaftMetrics::register(registry)?,
            clock: ClockMetrics::register(registry)?,
            backup: BackupMetrics::register(registry)?,
            store: StoreMetrics::register(registry)?,
        })
    }

    pub(crate) fn set(&self, status: &NodeStatus) {
        let raft = &self.raft;
        for role in Role::VARIANTS {
            raft.role.of(*role).set(i64::from(*role == status.role));
        }
        let lag = status.applied_index.lag_behind(status.committed_index);
        raft.known_leader.set(i64::from(status.leader.is_some()));
        raft.ready.set(i64::from(status.not_ready.is_none()));
        set(&raft.term, status.term.0);
        set(&raft.voters, status.voters.len() as u64);
        set(&raft.last_log_index, status.last_log_index.0);
        set(&raft.committed_index, status.committed_index.0);
        set(&raft.applied_index, status.applied_index.0);
        set(&raft.checkpoint_index, status.checkpoint_index.0);
        set(&raft.purged_index, status.purged_index.0);
        set(&raft.lag_entries, lag);
        set(
            &raft.replication_lag_entries,
            status.replication_lag.unwrap_or(0),
        );
        for state in ClockState::VARIANTS {
            let holds = *state == status.clock.state;
            self.clock.state.of(*state).set(i64::from(holds));
        }
        let offset_ms = status.clock.offset_ms.unwrap_or(0);
        self.clock.offset_seconds.set(offset_ms / 1000);
        set(&raft.feature_level, status.feature_level.into());
        let (backup, none) = (&self.backup, BackupStatus::default());
        let last = status.backup.as_ref().unwrap_or(&none);
        let secs = |ms: Option<u64>| ms.unwrap_or(0) / 1000;
        set(&backup.saved_timestamp_seconds, secs(last.saved_ms));
        set(&backup.size_bytes, last.size);
        set(&backup.failed_timestamp_seconds, secs(last.failed_ms));
        set(&backup.failures, last.failure_count.into());
        let store = &self.store;
        set(&store.packets, status.packet_count);
        set(&store.packets_max, status.packet_count_max.unwrap_or(0));
        set(&store.packets_bytes, status.packets_size);
        set(
            &store.packets_bytes_max,
            status.packets_size_max.unwrap_or(0),
        );
        set(&store.size_bytes, status.store_size);
    }
}

/// Sets a gauge, which cannot be larger than `i64::MAX`.
fn set(gauge: &Gauge, value: u64) {
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
}
