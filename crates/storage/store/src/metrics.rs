//! The metrics of the store.

/// From 1 ms, an empty checkpoint, to 16 s, one that a slow disk makes dangerous.
const CHECKPOINT_BUCKETS: [f64; 8] = [0.001, 0.004, 0.016, 0.064, 0.25, 1.0, 4.0, 16.0];

/// From 1 µs, one packet, to 16 ms, thousands of them.
const TRANSACTION_BUCKETS: [f64; 8] = [
    0.000_001, 0.000_004, 0.000_016, 0.000_064, 0.000_25, 0.001, 0.004, 0.016,
];

quorate_metrics::metrics! {
    /// The metrics of the store.
    pub struct StoreMetrics in "quorate_store" {
        /// Time of committing a checkpoint, in seconds
        pub checkpoint_duration_seconds: Histogram = CHECKPOINT_BUCKETS,
        /// Time of applying a group of entries to the packets, in seconds
        pub transaction_duration_seconds: Histogram = TRANSACTION_BUCKETS,
        /// Packets that the last scrub of the checkpoint found damaged or missing
        pub damaged_packets: Gauge,
    }
}
