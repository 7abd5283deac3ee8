//! A log alone on its disk.

use quorate_log::InjectedFault;
use quorate_sim::SimDisk;

use crate::{
    history::{Acked, Found, History},
    log_node::{LogNode, empty_disk, open_log},
    world::World,
};

const STEP_COUNT: usize = 24;

const RECOVERED_STEP_COUNT: usize = 4;

/// What a log went through.
pub(crate) struct LogWorld {
    disk: SimDisk,
    injected_fault: Option<InjectedFault>,
    /// What may be there from a boundary on.
    epochs: Vec<(usize, History)>,
}

impl LogWorld {
    /// The life of a log from its first start, as the seed says.
    pub(crate) fn live(seed: u64, injected_fault: Option<InjectedFault>) -> Result<Self, String> {
        Self::new(empty_disk(), injected_fault, History::empty()).work(seed, STEP_COUNT)
    }

    /// A disk on which `before` left its log.
    pub(crate) fn new(
        disk: SimDisk,
        injected_fault: Option<InjectedFault>,
        before: History,
    ) -> Self {
        let epochs = vec![(0, before)];
        Self {
            disk,
            injected_fault,
            epochs,
        }
    }

    /// Opens the log, which must agree with what was before, and works with it.
    pub(crate) fn work(mut self, seed: u64, step_count: usize) -> Result<Self, String> {
        let at = self.disk.boundaries();
        let log = open_log(&self.disk, seed, self.injected_fault)?;
        let found = Found::new(&log)?;
        self.epoch(at).check(at, &found)?;
        // What a log shows when it is opened its node tells others: it is as good as acknowledged.
        let opened = self.disk.boundaries();
        let mut node = LogNode::new(&self.disk, log, History::of(&found), seed);
        for _ in 0..step_count {
            let done = node.step();
            done.map_err(|error| format!("a step failed: {error:?}"))?;
        }
        self.epochs.push((opened, node.history));
        Ok(self)
    }

    /// The boundary at which the log was open.
    pub(crate) fn opened(&self) -> usize {
        self.epochs.last().map_or(0, |(from, _)| *from)
    }

    fn epoch(&self, at: usize) -> &History {
        let mut epochs = self.epochs.iter().rev();
        let epoch = epochs.find(|(from, _)| *from <= at);
        &epoch.expect("the first begins at 0").1
    }
}

impl World for LogWorld {
    type Acked = Acked;

    fn disk(&self) -> &SimDisk {
        &self.disk
    }

    fn acked(&self, at: usize) -> Acked {
        self.epoch(at).acked(at)
    }

    fn look(&self, at: usize, image: &SimDisk) -> Result<(), String> {
        let log = open_log(image, 0, self.injected_fault)?;
        self.epoch(at).check(at, &Found::new(&log)?)
    }

    fn recover(&self, at: usize, image: SimDisk, seed: u64) -> Result<(Self, usize), String> {
        let recovered = Self::new(image, self.injected_fault, self.epoch(at).window(at));
        let recovered = recovered.work(seed, RECOVERED_STEP_COUNT)?;
        let opened = recovered.opened();
        Ok((recovered, opened))
    }
}
