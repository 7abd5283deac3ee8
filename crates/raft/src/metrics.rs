//! What consensus tells Prometheus, beside the state that `Status` gives.

use prometheus::{Histogram, HistogramOpts, IntCounter, Registry};

/// Powers of two up to the largest batch.
const BATCH_BUCKETS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// Figures of consensus.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Packets in a batch that this node formed
    pub batch_count: Histogram,
    /// Records that this node, as the leader, had the cluster remove because they were too old
    pub expired_total: IntCounter,
}

impl Metrics {
    /// Registers the figures.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let batch_count = Histogram::with_opts(
            HistogramOpts::new(
                "quorate_raft_batch_packets",
                "Packets in a batch that this node formed",
            )
            .buckets(BATCH_BUCKETS.to_vec()),
        )?;
        let expired_total = IntCounter::new(
            "quorate_raft_expired_packets_total",
            "Records that this node, as the leader, had the cluster remove because they were too old",
        )?;
        registry.register(Box::new(batch_count.clone()))?;
        registry.register(Box::new(expired_total.clone()))?;
        Ok(Self {
            batch_count,
            expired_total,
        })
    }
}
