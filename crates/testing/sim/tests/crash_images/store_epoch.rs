//! The history of a log and a store from one start.

use quorate_state::LogPosition;

use crate::{
    history::{History, LogContent, text},
    packets::Packets,
    store_node::{PacketsByIndex, StoreNode},
};

/// The history of a log and a store from one start.
pub(crate) struct Epoch {
    /// The history of the log.
    pub(crate) history: History,
    /// The expected packets after each entry.
    pub(crate) expected: PacketsByIndex,
    /// The applied entry of each checkpoint, with the boundary from which it is durable.
    pub(crate) checkpoints: Vec<(usize, Option<LogPosition>)>,
    /// The applied entry of each snapshot, with the first boundary at which it may be on disk.
    pub(crate) installed: Vec<(usize, LogPosition)>,
}

impl Epoch {
    pub(crate) fn empty() -> Self {
        Self {
            history: History::empty(),
            expected: [(0, Packets::default())].into(),
            checkpoints: Vec::new(),
            installed: Vec::new(),
        }
    }

    /// The last checkpoint before a boundary.
    pub(crate) fn checkpoint(&self, at: usize) -> Option<LogPosition> {
        let before = self.checkpoints.iter().filter(|(from, _)| *from <= at);
        before.filter_map(|(_, applied)| *applied).max()
    }

    fn installed_before(&self, at: usize) -> impl Iterator<Item = LogPosition> {
        let installed = self.installed.iter().filter(move |(from, _)| *from <= at);
        installed.map(|(_, applied)| *applied)
    }

    /// Checks that the store is not older than its last checkpoint, and that the log continues from
    /// it. A store may be ahead of its log only after a snapshot.
    pub(crate) fn check_reach(
        &self,
        at: usize,
        applied: Option<LogPosition>,
        log: &LogContent,
    ) -> Result<(), String> {
        let checkpoint = self.checkpoint(at);
        let [store, durable, last, purged] = [applied, checkpoint, log.last, log.purged].map(text);
        if applied < checkpoint {
            return Err(format!(
                "the store is at {store}, but its checkpoint is at {durable}"
            ));
        }
        let is_installed = self.installed_before(at).any(|it| Some(it) == applied);
        if applied > log.last && !is_installed {
            return Err(format!(
                "the store is at {store}, but the log ends at {last}"
            ));
        }
        if applied < log.purged {
            return Err(format!(
                "the store is at {store}, but the log is purged to {purged}"
            ));
        }
        Ok(())
    }

    /// What may be on the disk after a power loss at a boundary, as a new epoch.
    pub(crate) fn window(&self, at: usize) -> Self {
        Self {
            history: self.history.window(at),
            expected: self.expected.clone(),
            checkpoints: vec![(0, self.checkpoint(at))],
            installed: self
                .installed_before(at)
                .map(|applied| (0, applied))
                .collect(),
        }
    }
}

impl From<StoreNode> for Epoch {
    fn from(node: StoreNode) -> Self {
        Self {
            history: node.log.history,
            expected: node.expected,
            checkpoints: node.checkpoints,
            installed: node.installed,
        }
    }
}
