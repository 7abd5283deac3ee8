//! Figures by label.

use std::marker::PhantomData;

use prometheus::{Error, Registry};
use strum::VariantArray;

use crate::figure::{Figure, registered};

/// An enum whose variants are the values of a label, each of which says how Prometheus shows it.
pub trait Label: VariantArray + Into<&'static str> + Copy + PartialEq + 'static {
    /// The place of the value among all.
    fn place(self) -> usize {
        let place = Self::VARIANTS.iter().position(|value| *value == self);
        place.expect("a value is one of all values")
    }
}

impl<L: VariantArray + Into<&'static str> + Copy + PartialEq + 'static> Label for L {}

/// A figure for each value of a label.
#[derive(Clone, Debug)]
pub struct By<F, A> {
    figures: Vec<F>,
    label: PhantomData<fn(A)>,
}

impl<F: Figure, A: Label> By<F, A> {
    /// Registers a figure for each value, all at zero.
    pub fn register(
        registry: &Registry,
        name: &str,
        help: &str,
        label: &str,
    ) -> Result<Self, Error> {
        let vec = registered(registry, F::vec(name, help, &[label])?)?;
        let figures = A::VARIANTS.iter().map(|a| F::with(&vec, &[(*a).into()]));
        Ok(Self {
            figures: figures.collect(),
            label: PhantomData,
        })
    }

    /// The figure of this value.
    pub fn of(&self, value: A) -> &F {
        &self.figures[value.place()]
    }
}

/// A figure for each pair of values of two labels.
#[derive(Clone, Debug)]
pub struct By2<F, A, B> {
    figures: Vec<By<F, B>>,
    label: PhantomData<fn(A)>,
}

impl<F: Figure, A: Label, B: Label> By2<F, A, B> {
    /// Registers a figure for each pair, all at zero.
    pub fn register(
        registry: &Registry,
        name: &str,
        help: &str,
        labels: [&str; 2],
    ) -> Result<Self, Error> {
        let vec = registered(registry, F::vec(name, help, &labels)?)?;
        let of = |a: A| {
            let figures = B::VARIANTS
                .iter()
                .map(|b| F::with(&vec, &[a.into(), (*b).into()]));
            By {
                figures: figures.collect(),
                label: PhantomData,
            }
        };
        Ok(Self {
            figures: A::VARIANTS.iter().copied().map(of).collect(),
            label: PhantomData,
        })
    }

    /// The figure of this pair.
    pub fn of(&self, a: A, b: B) -> &F {
        self.figures[a.place()].of(b)
    }
}
