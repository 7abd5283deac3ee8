//! A world with a log.

use quorate_log::InjectedFault;
use quorate_sim::SimDisk;

use crate::{
    history::{Acked, History, OpenedLog},
    log_node::{LogNode, empty_disk, open_log},
    world::World,
};

const STEP_COUNT: usize = 24;

const RECOVERED_STEP_COUNT: usize = 4;

/// A disk with everything that happened to its log.
pub(crate) struct LogWorld {
    disk: SimDisk,
    injected_fault: Option<InjectedFault>,
    /// The history from each start of the log, with the boundary at which it was open.
    epochs: Vec<(usize, History)>,
}

impl LogWorld {
    /// Creates a log and does random steps.
    pub(crate) fn run(seed: u64, injected_fault: Option<InjectedFault>) -> Result<Self, String> {
        Self::new(empty_disk(), injected_fault, History::empty()).work(seed, STEP_COUNT)
    }

    /// A disk with a log that has the history `before`.
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

    /// Opens the log, which must agree with its history, and does random steps.
    pub(crate) fn work(mut self, seed: u64, step_count: usize) -> Result<Self, String> {
        let at = self.disk.boundaries();
        let log = open_log(&self.disk, seed, self.injected_fault)?;
        let content = OpenedLog::new(&log)?;
        self.epoch(at).check(at, &content)?;
        // The content of the opened log counts as acknowledged, because its node sends it to
        // others.
        let opened = self.disk.boundaries();
        let mut node = LogNode::new(&self.disk, log, History::from_opened(&content), seed);
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
        &epoch.expect("the first starts at 0").1
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

    fn check_image(&self, at: usize, image: &SimDisk) -> Result<(), String> {
        let log = open_log(image, 0, self.injected_fault)?;
        self.epoch(at).check(at, &OpenedLog::new(&log)?)
    }

    fn recover(&self, at: usize, image: SimDisk, seed: u64) -> Result<(Self, usize), String> {
        let recovered = Self::new(image, self.injected_fault, self.epoch(at).window(at));
        let recovered = recovered.work(seed, RECOVERED_STEP_COUNT)?;
        let opened = recovered.opened();
        Ok((recovered, opened))
    }
}
