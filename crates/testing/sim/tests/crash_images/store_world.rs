//! A world with a log and a store.

use quorate_sim::SimDisk;
use quorate_state::LogPosition;

use crate::{
    history::Acked,
    log_node::empty_disk,
    store_epoch::Epoch,
    store_node::{Misuse, StoreNode},
    world::World,
};

const STEP_COUNT: usize = 8;

const RECOVERED_STEP_COUNT: usize = 3;

/// A disk with everything that happened to its log and its store.
pub(crate) struct StoreWorld {
    disk: SimDisk,
    misuse: Option<Misuse>,
    /// The history from each start of the node, with the boundary at which it was open.
    epochs: Vec<(usize, Epoch)>,
}

impl StoreWorld {
    /// Creates a node and does random steps.
    pub(crate) fn run(seed: u64, misuse: Option<Misuse>) -> Result<Self, String> {
        Self::new(empty_disk(), misuse, Epoch::empty()).work(seed, STEP_COUNT)
    }

    pub(crate) fn new(disk: SimDisk, misuse: Option<Misuse>, before: Epoch) -> Self {
        let epochs = vec![(0, before)];
        Self {
            disk,
            misuse,
            epochs,
        }
    }

    /// Opens the node, which must agree with its history, and does random steps.
    pub(crate) fn work(mut self, seed: u64, step_count: usize) -> Result<Self, String> {
        let at = self.disk.boundaries();
        let mut node = StoreNode::open(&self.disk, self.epoch(at), at, seed, self.misuse)?;
        let opened = node.opened;
        for _ in 0..step_count {
            node.step()?;
        }
        self.epochs.push((opened, node.into()));
        Ok(self)
    }

    /// The boundary at which log and store were open.
    pub(crate) fn opened(&self) -> usize {
        self.epochs.last().map_or(0, |(from, _)| *from)
    }

    fn epoch(&self, at: usize) -> &Epoch {
        let mut epochs = self.epochs.iter().rev();
        let epoch = epochs.find(|(from, _)| *from <= at);
        &epoch.expect("the first starts at 0").1
    }
}

impl World for StoreWorld {
    type Acked = (Acked, Option<LogPosition>);

    fn disk(&self) -> &SimDisk {
        &self.disk
    }

    fn acked(&self, at: usize) -> Self::Acked {
        let epoch = self.epoch(at);
        (epoch.history.acked(at), epoch.checkpoint(at))
    }

    fn check_image(&self, at: usize, image: &SimDisk) -> Result<(), String> {
        StoreNode::open(image, self.epoch(at), at, 0, self.misuse).map(drop)
    }

    fn recover(&self, at: usize, image: SimDisk, seed: u64) -> Result<(Self, usize), String> {
        let recovered = Self::new(image, self.misuse, self.epoch(at).window(at));
        let recovered = recovered.work(seed, RECOVERED_STEP_COUNT)?;
        let opened = recovered.opened();
        Ok((recovered, opened))
    }
}
