//! Figures by label.

use std::marker::PhantomData;

use strum::VariantArray;

/// An enum whose variants are the values of a label, each of which says how Prometheus shows it.
pub trait Label: VariantArray + Into<&'static str> + Copy + PartialEq + 'static {}

impl<L: VariantArray + Into<&'static str> + Copy + PartialEq + 'static> Label for L {}

/// A figure for each value of a label: of several labels, `By<By<Counter, Second>, First>`.
#[derive(Clone, Debug)]
pub struct By<F, L> {
    figures: Vec<F>,
    label: PhantomData<fn(L)>,
}

impl<F, L: Label> By<F, L> {
    /// The figure of this value.
    pub fn of(&self, value: L) -> &F {
        let place = L::VARIANTS.iter().position(|variant| *variant == value);
        &self.figures[place.expect("a value is one of all values")]
    }
}

impl<F, L: Label> By<F, L> {
    /// What `figure` makes for each value.
    pub(crate) fn each(figure: impl FnMut(&L) -> F) -> Self {
        Self {
            figures: L::VARIANTS.iter().map(figure).collect(),
            label: PhantomData,
        }
    }
}
