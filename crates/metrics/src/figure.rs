//! Registering one figure.

use prometheus::{
    Error, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
    core::{Collector, GenericCounterVec, GenericGaugeVec},
};

/// A kind of figure that can stand alone or once for each value of labels.
pub trait Figure: Sized {
    /// All figures of one name.
    type Vec: Collector + Clone + 'static;

    /// One figure without labels.
    fn register(registry: &Registry, name: &str, help: &str) -> Result<Self, Error>;

    /// The figures of one name, none of them there yet.
    fn vec(name: &str, help: &str, labels: &[&str]) -> Result<Self::Vec, Error>;

    /// The figure of these values, made if there is none.
    fn with(vec: &Self::Vec, values: &[&str]) -> Self;
}

impl Figure for IntCounter {
    type Vec = IntCounterVec;

    fn register(registry: &Registry, name: &str, help: &str) -> Result<Self, Error> {
        registered(registry, Self::new(name, help)?)
    }

    fn vec(name: &str, help: &str, labels: &[&str]) -> Result<Self::Vec, Error> {
        GenericCounterVec::new(Opts::new(name, help), labels)
    }

    fn with(vec: &Self::Vec, values: &[&str]) -> Self {
        vec.with_label_values(values)
    }
}

impl Figure for IntGauge {
    type Vec = IntGaugeVec;

    fn register(registry: &Registry, name: &str, help: &str) -> Result<Self, Error> {
        registered(registry, Self::new(name, help)?)
    }

    fn vec(name: &str, help: &str, labels: &[&str]) -> Result<Self::Vec, Error> {
        GenericGaugeVec::new(Opts::new(name, help), labels)
    }

    fn with(vec: &Self::Vec, values: &[&str]) -> Self {
        vec.with_label_values(values)
    }
}

/// Registers a histogram with these upper bounds of its buckets.
pub fn histogram(
    registry: &Registry,
    name: &str,
    help: &str,
    buckets: &[f64],
) -> Result<Histogram, Error> {
    let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
    registered(registry, Histogram::with_opts(opts)?)
}

/// Registers `figure` and gives it back.
pub(crate) fn registered<C: Collector + Clone + 'static>(
    registry: &Registry,
    figure: C,
) -> Result<C, Error> {
    registry.register(Box::new(figure.clone()))?;
    Ok(figure)
}
