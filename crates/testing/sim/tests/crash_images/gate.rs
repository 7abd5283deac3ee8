//! A guard that blocks the syncs of a log.

use quorate_sim::SimDisk;

use crate::log_node::LOG_DIR;

/// Blocks syncs of the log until it is dropped.
pub(crate) struct Gate(SimDisk);

impl Gate {
    pub(crate) fn new(disk: &SimDisk) -> Self {
        disk.block_syncs(LOG_DIR);
        Self(disk.clone())
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.0.release_syncs();
    }
}
