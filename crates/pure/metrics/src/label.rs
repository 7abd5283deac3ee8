//! Metrics by label.

use std::marker::PhantomData;

use strum::VariantArray;

/// An enum whose variants are the values of a label, each with its Prometheus name.
pub trait Label: VariantArray + Into<&'static str> + Copy + PartialEq + 'static {}

impl<L: VariantArray + Into<&'static str> + Copy + PartialEq + 'static> Label for L {}

/// A metric for each value of a label. With several labels: `Labelled<Labelled<Counter, Second>, First>`.
#[derive(Clone, Debug)]
pub struct Labelled<F, L> {
    metrics: Vec<F>,
    label: PhantomData<fn(L)>,
}

impl<F, L: Label> Labelled<F, L> {
    /// The metric of this value.
    pub fn of(&self, value: L) -> &F {
        let place = L::VARIANTS.iter().position(|variant| *variant == value);
        &self.metrics[place.expect("a value is one of all values")]
    }
}

impl<F, L: Label> Labelled<F, L> {
    /// Creates the metric for each value.
    pub(crate) fn each(metric: impl FnMut(&L) -> F) -> Self {
        Self {
            metrics: L::VARIANTS.iter().map(metric).collect(),
            label: PhantomData,
        }
    }
}
