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

    /// The figures of one name, none of them there yet. Only histograms have `buckets`, by their upper
    /// bounds.
    fn vec(name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> Result<Self::Vec, Error>;

    /// The figure of these values of the first labels, made at zero if there is none.
    fn with(vec: &Self::Vec, values: &[&str]) -> Self;
}

macro_rules! figure {
    ($figure:ident in $vec:ident, $options:expr) => {
        impl Figure for $figure {
            type Vec = $vec;

            fn vec(
                name: &str,
                help: &str,
                labels: &[&str],
                buckets: &[f64],
            ) -> Result<$vec, Error> {
                $vec::new($options(name, help, buckets), labels)
            }

            fn with(vec: &$vec, values: &[&str]) -> Self {
                vec.with_label_values(values)
            }
        }
    };
}

figure!(IntCounter in IntCounterVec, |name, help, _| Opts::new(name, help));
figure!(IntGauge in IntGaugeVec, |name, help, _| Opts::new(name, help));
figure!(Histogram in HistogramVec, |name, help, buckets: &[f64]| {
    HistogramOpts::new(name, help).buckets(buckets.to_vec())
});

impl<F: Figure, L: Label> Figure for By<F, L> {
    type Vec = F::Vec;

    fn vec(name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> Result<Self::Vec, Error> {
        F::vec(name, help, labels, buckets)
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
    buckets: &[f64],
) -> Result<F, Error> {
    let vec = F::vec(name, help, labels, buckets)?;
    registry.register(Box::new(vec.clone()))?;
    Ok(F::with(&vec, &[]))
}
