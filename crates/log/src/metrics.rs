//! What the log tells Prometheus.

use prometheus::{Histogram, HistogramOpts, Registry};

/// From 50 µs, a fast device, to 1.6 s, a broken one.
const BUCKETS: [f64; 11] = [
    0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.02, 0.1, 0.4, 1.6,
];

/// Figures of the log.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Time from queuing entries or a vote until `fdatasync` has returned, in seconds
    pub flush_duration: Histogram,
}

impl Metrics {
    /// Registers the figures.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let flush_duration = Histogram::with_opts(
            HistogramOpts::new(
                "quorate_log_flush_duration_seconds",
                "Time from queuing entries or a vote until fdatasync has returned, in seconds",
            )
            .buckets(BUCKETS.to_vec()),
        )?;
        registry.register(Box::new(flush_duration.clone()))?;
        Ok(Self { flush_duration })
    }
}
