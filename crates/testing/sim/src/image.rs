//! The disk that a power loss leaves.

use std::collections::BTreeSet;

use crate::{PowerLoss, SimDisk, replay, state::Medium};

impl SimDisk {
    /// The disk that a power loss leaves after the first `at` operations of the trace, or after all
    /// if there are fewer. It is a new disk without faults, and everything on it is durable.
    #[must_use]
    pub fn image(&self, at: usize, loss: PowerLoss) -> Self {
        let state = self.0.state();
        let at = at.min(state.trace.len());
        replay::medium(&state.base, &state.trace[..at], loss).into()
    }

    /// Up to `count` different images of one boundary, each with the loss that leads to it.
    pub fn images(
        &self,
        at: usize,
        count: usize,
        seed: u64,
    ) -> impl Iterator<Item = (PowerLoss, Self)> {
        let seeds = (0..count as u64).map(move |nth| seed.wrapping_add(nth));
        let torn = seeds.flat_map(|seed| [PowerLoss::Torn(seed), PowerLoss::Reordered(seed)]);
        let losses = [PowerLoss::Everything, PowerLoss::Nothing]
            .into_iter()
            .chain(torn);
        let mut seen = BTreeSet::new();
        let images = losses.map(move |loss| (loss, self.image(at, loss)));
        images
            .filter(move |(_, image)| seen.insert(image.digest()))
            .take(count)
    }
}

impl Medium {
    /// Removes the names that cannot be reached, and the contents without a name.
    pub(crate) fn reachable(self) -> Self {
        let names = self.names.reachable();
        let named: BTreeSet<_> = names.files().map(|(_, file)| file).collect();
        let mut contents = self.contents;
        contents.retain(|file, _| named.contains(file));
        for file in named {
            contents.entry(file).or_default();
        }
        Self { names, contents }
    }
}

#[cfg(test)]
#[path = "image_tests.rs"]
mod tests;
