//! Registration of metrics.

use prometheus::{
    Error, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, core::Collector,
};

use crate::{Label, Labelled};

/// A kind of metric, or one metric for each value of a label.
pub trait MetricType: Sized {
    /// All metrics of one name.
    type Vec: Collector + Clone + 'static;

    /// The metric vector of one name, still empty. Only histograms have `buckets`, given as upper bounds.
    fn vec(name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> Result<Self::Vec, Error>;

    /// The metric for these values of the first labels, created at zero if it does not exist.
    fn with(vec: &Self::Vec, values: &[&str]) -> Self;
}

macro_rules! metric {
    ($metric:ident in $vec:ident, $options:expr) => {
        impl MetricType for $metric {
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

metric!(IntCounter in IntCounterVec, |name, help, _| Opts::new(name, help));
metric!(IntGauge in IntGaugeVec, |name, help, _| Opts::new(name, help));
metric!(Histogram in HistogramVec, |name, help, buckets: &[f64]| {
    HistogramOpts::new(name, help).buckets(buckets.to_vec())
});

impl<F: MetricType, L: Label> MetricType for Labelled<F, L> {
    type Vec = F::Vec;

    fn vec(name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> Result<Self::Vec, Error> {
        F::vec(name, help, labels, buckets)
    }

    fn with(vec: &Self::Vec, values: &[&str]) -> Self {
        Self::each(|value| F::with(vec, &[values, &[(*value).into()]].concat()))
    }
}

/// Registers a metric, at zero for each value of its labels.
pub fn register<F: MetricType>(
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
