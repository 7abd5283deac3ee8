//! Metrics by label.

use std::marker::PhantomData;

use strum::VariantArray;

/// An enum whose variants are the values of a label, each with its Prometheus name.
pub trait Label: VariantArray + Into<&'static str> + Copy + PartialEq + 'static {}

impl<L: VariantArray + Into<&'static str> + Copy + PartialEq + 'static> Label for L {}

/// A metric for each value of a label. With several labels: `By<By<Counter, Second>, First>`.
#[derive(Clone, Debug)]
pub struct By<F, L> {
    figures: Vec<F>,
    label: PhantomData<fn(L)>,
}

impl<F, L: Label> By<F, L> {
    /// The metric of this value.
    pub fn of(&self, value: L) -> &F {
        let place = L::VARIANTS.iter().position(|variant| *variant == value);
        &self.figures[place.expect("a value is one of all values")]
    }
}

impl<F, L: Label> By<F, L> {
    /// Creates the metric for each value.
    pub(crate) fn each(figure: impl FnMut(&L) -> F) -> Self {
        Self {
            figures: L::VARIANTS.iter().map(figure).collect(),
            label: PhantomData,
        }
    }
}
