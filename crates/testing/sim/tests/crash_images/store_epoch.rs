//! What may be on the disk of a log and a store.

use quorate_state::LogPosition;

use crate::{
    history::{History, Holding, show},
    packets::Packets,
    store_node::{PacketsByIndex, StoreNode},
};

/// What may be on a disk from a boundary on.
pub(crate) struct Epoch {
    pub(crate) history: History,
    pub(crate) expected: PacketsByIndex,
    pub(crate) checkpoints: Vec<(usize, Option<LogPosition>)>,
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
        let installed = self.installed.iter().filter(move |(told, _)| *told <= at);
        installed.map(|(_, applied)| *applied)
    }

    /// Checks that the store is no older than its last checkpoint, and that the log reaches from
    /// it. A store is ahead of its log only by a snapshot.
    pub(crate) fn check_reach(
        &self,
        at: usize,
        applied: Option<LogPosition>,
        holding: &Holding,
    ) -> Result<(), String> {
        let checkpoint = self.checkpoint(at);
        let [store, made, last, purged] =
            [applied, checkpoint, holding.last, holding.purged].map(show);
        if applied < checkpoint {
            return Err(format!(
                "the store is at {store}, its checkpoint was made at {made}"
            ));
        }
        let is_installed = self.installed_before(at).any(|it| Some(it) == applied);
        if applied > holding.last && !is_installed {
            return Err(format!("the store is at {store}, the log ends at {last}"));
        }
        if applied < holding.purged {
            return Err(format!(
                "the store is at {store}, the log is purged to {purged}"
            ));
        }
        Ok(())
    }

    /// What may be there after a loss of power at a boundary.
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
