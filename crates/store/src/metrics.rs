//! What the store tells Prometheus.

/// From 1 ms, an empty checkpoint, to 16 s, one that a slow disk makes dangerous.
const CHECKPOINT_BUCKETS: [f64; 8] = [0.001, 0.004, 0.016, 0.064, 0.25, 1.0, 4.0, 16.0];

/// From 10 µs, one packet, to 160 ms, thousands of them.
const TRANSACTION_BUCKETS: [f64; 8] =
    [0.00001, 0.00004, 0.00016, 0.00064, 0.0025, 0.01, 0.04, 0.16];

quorate_metrics::metrics! {
    /// Figures of the store.
    pub struct Metrics in "quorate_store" {
        /// Time of a durable checkpoint, in seconds
        pub checkpoint_duration_seconds: Histogram = CHECKPOINT_BUCKETS,
        /// Time of applying a group of entries and committing it in memory, in seconds
        pub transaction_duration_seconds: Histogram = TRANSACTION_BUCKETS,
    }
}
