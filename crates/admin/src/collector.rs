//! The replica's standing as metrics.

use std::sync::Arc;

use prometheus::{
    IntGauge, IntGaugeVec, Opts,
    core::{Collector, Desc},
    proto::MetricFamily,
};
use quorate_replica::{Replica, Role, Status};

/// Asks the replica how it stands at each scrape, so that the figures of one scrape belong
/// together and cost nothing between scrapes.
pub struct ReplicaCollector {
    replica: Arc<dyn Replica>,
    figures: Figures,
}

struct Figures {
    /// 1 for the role the node has, 0 for the others
    role: IntGaugeVec,
    /// The current term
    term: IntGauge,
    /// Whether a leader is known
    known_leader: IntGauge,
    /// Whether the node is ready to serve everything
    ready: IntGauge,
    /// The number of voters
    voter_count: IntGauge,
    /// The last entry in the local log
    last_log_index: IntGauge,
    /// The last entry this node knows to be committed
    committed_index: IntGauge,
    /// The last entry applied to the local records
    applied_index: IntGauge,
    /// The last entry that the durable checkpoint holds
    checkpoint_index: IntGauge,
    /// The last entry removed from the log
    purged_index: IntGauge,
    /// Entries known to be committed and not applied yet
    lag: IntGauge,
    /// Entries that the voter furthest behind lacks, at the leader; 0 at other nodes
    replication_lag: IntGauge,
    /// The number of records
    record_count: IntGauge,
    /// The size of the store's file, in bytes
    store_size: IntGauge,
}

impl ReplicaCollector {
    /// A collector to register once.
    pub fn new(replica: Arc<dyn Replica>) -> Result<Self, prometheus::Error> {
        let figures = Figures {
            role: IntGaugeVec::new(
                Opts::new(
                    "quorate_raft_role",
                    "1 for the role the node has, 0 for the others",
                ),
                &["role"],
            )?,
            term: IntGauge::new("quorate_raft_term", "The current term")?,
            known_leader: IntGauge::new("quorate_raft_known_leader", "Whether a leader is known")?,
            ready: IntGauge::new(
                "quorate_raft_ready",
                "Whether the node is ready to serve everything",
            )?,
            voter_count: IntGauge::new("quorate_raft_voter_count", "The number of voters")?,
            last_log_index: IntGauge::new(
                "quorate_raft_last_log_index",
                "The last entry in the local log",
            )?,
            committed_index: IntGauge::new(
                "quorate_raft_committed_index",
                "The last entry this node knows to be committed",
            )?,
            applied_index: IntGauge::new(
                "quorate_raft_applied_index",
                "The last entry applied to the local records",
            )?,
            checkpoint_index: IntGauge::new(
                "quorate_raft_checkpoint_index",
                "The last entry that the durable checkpoint holds",
            )?,
            purged_index: IntGauge::new(
                "quorate_raft_purged_index",
                "The last entry removed from the log",
            )?,
            lag: IntGauge::new(
                "quorate_raft_lag_entries",
                "Entries known to be committed and not applied yet",
            )?,
            replication_lag: IntGauge::new(
                "quorate_raft_replication_lag_entries",
                "Entries that the voter furthest behind lacks, at the leader; 0 at other nodes",
            )?,
            record_count: IntGauge::new("quorate_store_record_count", "The number of records")?,
            store_size: IntGauge::new(
                "quorate_store_size_bytes",
                "The size of the store's file, in bytes",
            )?,
        };
        Ok(Self { replica, figures })
    }
}

impl Figures {
    fn gauges(&self) -> [&IntGauge; 13] {
        [
            &self.term,
            &self.known_leader,
            &self.ready,
            &self.voter_count,
            &self.last_log_index,
            &self.committed_index,
            &self.applied_index,
            &self.checkpoint_index,
            &self.purged_index,
            &self.lag,
            &self.replication_lag,
            &self.record_count,
            &self.store_size,
        ]
    }

    fn set(&self, status: &Status) {
        for role in Role::ALL {
            let gauge = self.role.with_label_values(&[role.as_str()]);
            gauge.set(i64::from(role == status.role));
        }
        let lag = status.committed_index.saturating_sub(status.applied_index);
        self.term.set(signed(status.term));
        self.known_leader.set(i64::from(status.leader.is_some()));
        self.ready.set(i64::from(status.not_ready.is_none()));
        self.voter_count.set(signed(status.voters.len() as u64));
        self.last_log_index.set(signed(status.last_log_index));
        self.committed_index.set(signed(status.committed_index));
        self.applied_index.set(signed(status.applied_index));
        self.checkpoint_index.set(signed(status.checkpoint_index));
        self.purged_index.set(signed(status.purged_index));
        self.lag.set(signed(lag));
        self.replication_lag
            .set(signed(status.replication_lag.unwrap_or(0)));
        self.record_count.set(signed(status.record_count));
        self.store_size.set(signed(status.store_size));
    }
}

/// Prometheus has no larger whole numbers.
fn signed(figure: u64) -> i64 {
    i64::try_from(figure).unwrap_or(i64::MAX)
}

impl Collector for ReplicaCollector {
    fn desc(&self) -> Vec<&Desc> {
        let gauges = self.figures.gauges();
        let gauges = gauges.into_iter().flat_map(|gauge| gauge.desc());
        self.figures.role.desc().into_iter().chain(gauges).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.figures.set(&self.replica.status());
        let gauges = self.figures.gauges();
        let gauges = gauges.into_iter().flat_map(|gauge| gauge.collect());
        self.figures
            .role
            .collect()
            .into_iter()
            .chain(gauges)
            .collect()
    }
}
