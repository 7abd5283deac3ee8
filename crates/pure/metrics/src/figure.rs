//! Registering figures.

use prometheus::{
    Error, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, core::Collector,
};

use crate::{By, Label};

/// A kind of figure, or one for each value of a label.
pub trait Figure: Sized {
    /// All figures of one name.
    type Vec: Collector + Clone + 'static;

    /// The figures of one name, none of them there yet.
    fn vec(name: &str, help: &str, labels: &[&str]) -> Result<Self::Vec, Error>;

    /// The figure of these values of the first labels, made at zero if there is none.
    fn with(vec: &Self::Vec, values: &[&str]) -> Self;
}

impl Figure for IntCounter {
    type Vec = IntCounterVec;

    fn vec(name: &str, help: &str, labels: &[&str]) -> Result<Self::Vec, Error> {
        IntCounterVec::new(Opts::new(name, help), labels)
    }

    fn with(vec: &Self::Vec, values: &[&str]) -> Self {
        vec.with_label_values(values)
    }
}

impl Figure for IntGauge {
    type Vec = IntGaugeVec;

    fn vec(name: &str, help: &str, labels: &[&str]) -> Result<Self::Vec, Error> {
        IntGaugeVec::new(Opts::new(name, help), labels)
    }

    fn with(vec: &Self::Vec, values: &[&str]) -> Self {
        vec.with_label_values(values)
    }
}

impl<F: Figure, L: Label> Figure for By<F, L> {
    type Vec = F::Vec;

    fn vec(name: &str, help: &str, labels: &[&str]) -> Result<Self::Vec, Error> {
        F::vec(name, help, labels)
    }

    fn with(vec: &Self::Vec, values: &[&str]) -> Self {
        Self::each(|value| F::with(vec, &[values, &[(*value).into()]].concat()))
    }
}

/// Registers a figure, for each value of its labels at zero.
pub fn register<F: Figure>(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> Result<F, Error> {
    let vec = F::vec(name, help, labels)?;
    registry.register(Box::new(vec.clone()))?;
    Ok(F::with(&vec, &[]))
}

/// Registers a histogram with these upper bounds of its buckets.
pub fn register_histogram(
    registry: &Registry,
    name: &str,
    help: &str,
    buckets: &[f64],
) -> Result<Histogram, Error> {
    let histogram = Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))?;
    registry.register(Box::new(histogram.clone()))?;
    Ok(histogram)
}

/// Registers a histogram for each value of a label, with these upper bounds of its buckets.
pub fn register_histograms<L: Label>(
    registry: &Registry,
    name: &str,
    help: &str,
    label: &str,
    buckets: &[f64],
) -> Result<By<Histogram, L>, Error> {
    let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
    let vec = HistogramVec::new(options, &[label])?;
    registry.register(Box::new(vec.clone()))?;
    Ok(By::each(|value: &L| {
        vec.with_label_values(&[(*value).into()])
    }))
}
