//! Counting what is there now.

use prometheus::IntGauge;

/// Adds one to a gauge while it lives.
#[derive(Debug)]
pub struct Held(IntGauge);

impl Held {
    /// Adds one.
    pub fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.dec();
    }
}
