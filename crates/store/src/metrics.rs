//! What the store tells Prometheus.

use prometheus::{Histogram, HistogramOpts, Registry};

/// From 1 ms, an empty checkpoint, to 16 s, one that a slow disk makes dangerous.
const CHECKPOINT_BUCKETS: [f64; 8] = [0.001, 0.004, 0.016, 0.064, 0.25, 1.0, 4.0, 16.0];

/// From 10 µs, one packet, to 160 ms, thousands of them.
const TRANSACTION_BUCKETS: [f64; 8] =
    [0.00001, 0.00004, 0.00016, 0.00064, 0.0025, 0.01, 0.04, 0.16];

/// Figures of the store.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Time of a durable checkpoint, in seconds
    pub checkpoint_duration: Histogram,
    /// Time of applying a group of entries and committing it in memory, in seconds
    pub transaction_duration: Histogram,
}

impl Metrics {
    /// Registers the figures.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let histogram = |name: &str, help: &str, buckets: &[f64]| {
            let histogram =
                Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))?;
            registry.register(Box::new(histogram.clone()))?;
            Ok::<_, prometheus::Error>(histogram)
        };
        Ok(Self {
            checkpoint_duration: histogram(
                "quorate_store_checkpoint_duration_seconds",
                "Time of a durable checkpoint, in seconds",
                &CHECKPOINT_BUCKETS,
            )?,
            transaction_duration: histogram(
                "quorate_store_transaction_duration_seconds",
                "Time of applying a group of entries and committing it in memory, in seconds",
                &TRANSACTION_BUCKETS,
            )?,
        })
    }
}
