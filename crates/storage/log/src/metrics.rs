//! The metrics of the log.

/// From 50 µs, a fast device, to 1.6 s, a broken one.
const FLUSH_BUCKETS: [f64; 11] = [
    0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.02, 0.1, 0.4, 1.6,
];

/// From one entry to the number of small entries that fill a group.
const GROUP_BUCKETS: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 256.0, 1024.0, 4096.0];

quorate_metrics::metrics! {
    /// The metrics of the log.
    pub struct LogMetrics in "quorate_log" {
        /// Time from queuing entries or a vote until fdatasync has returned, in seconds
        pub flush_duration_seconds: Histogram = FLUSH_BUCKETS,
        /// Entries written and synced together
        pub group_entries: Histogram = GROUP_BUCKETS,
        /// Reads of an entry, and of a group by a scrub, that found damage
        pub damaged_total: Counter,
    }
}
