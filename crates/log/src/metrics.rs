//! What the log tells Prometheus.

/// From 50 µs, a fast device, to 1.6 s, a broken one.
const FLUSH_BUCKETS: [f64; 11] = [
    0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.02, 0.1, 0.4, 1.6,
];

quorate_metrics::metrics! {
    /// Figures of the log.
    pub struct Metrics in "quorate_log" {
        /// Time from queuing entries or a vote until fdatasync has returned, in seconds
        pub flush_duration_seconds: Histogram = FLUSH_BUCKETS,
    }
}
