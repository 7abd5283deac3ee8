//! What consensus tells Prometheus, beside the state that `Status` gives.

/// Powers of two up to the largest batch.
const BATCH_BUCKETS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

quorate_metrics::metrics! {
    /// Figures of consensus.
    pub struct Metrics in "quorate_raft" {
        /// Packets in a batch that this node formed
        pub batch_packets: Histogram = BATCH_BUCKETS,
        /// Packets that this node, as the leader, had the cluster remove because they were too old
        pub expired_packets_total: Counter,
    }
}
