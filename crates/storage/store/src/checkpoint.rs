//! Writing checkpoints.

use std::{mem, sync::Arc};

use quorate_replica::IndexedPacket;

use crate::{
    IoSpeed, Meta, StoreError, checkpoint_lock::CheckpointGuard, file::CheckpointFile,
    memory::Changes, shared::Shared,
};

/// By how many bytes a checkpoint without changes may grow the file: some pages for each table, and
/// redb's list of free pages.
const GROWTH_MIN: u64 = 1024 * 1024;

/// By how many bytes a changed packet may grow the file: the largest packet with its table entry.
/// Pages that replace others were freed by the checkpoint before.
const CHANGE_GROWTH: u64 = 1536;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckpointScope {
    /// Write the changes since the last checkpoint into the file.
    Changes,
    /// Write all packets into a new file. This also repairs any damage of the old one.
    Everything,
}

/// The packets at one point in time, to be made durable. While it exists, no other checkpoint
/// starts.
///
/// If it is dropped before it is committed, the next checkpoint includes its changes.
#[must_use = "nothing is durable before it is committed"]
pub struct Checkpoint {
    shared: Arc<Shared>,
    meta: Meta,
    changes: Changes,
    everything: Option<Vec<Arc<IndexedPacket>>>,
    _guard: CheckpointGuard,
}

/// By how many bytes a checkpoint of `change_count` changes may grow the file.
pub(crate) fn growth(change_count: usize, meta: &Meta) -> u64 {
    GROWTH_MIN + change_count as u64 * CHANGE_GROWTH + meta_growth(meta)
}

/// By how many bytes the lists of allowed publishers, which are part of the meta row, may grow the
/// file. redb rounds a value up to a power of two, and keeps the previous value too.
pub(crate) fn meta_growth(meta: &Meta) -> u64 {
    4 * meta.cluster.publishing.size() as u64
}

impl Checkpoint {
    pub(crate) fn begin(shared: Arc<Shared>, scope: CheckpointScope) -> Self {
        shared.file().throttle.stop_pausing();
        let guard = shared.checkpoint_lock.acquire();
        let mut state = shared.memory.state();
        let everything = match scope {
            CheckpointScope::Changes => None,
            CheckpointScope::Everything => Some(shared.memory.packets(&state)),
        };
        let meta = state.meta.clone();
        let changes = mem::take(&mut state.changes);
        drop(state);
        Self {
            shared,
            meta,
            changes,
            everything,
            _guard: guard,
        }
    }

    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Makes the packets durable, concurrently with reads and transactions, and returns their meta.
    /// Blocks the thread.
    ///
    /// Before the call, the Raft log must be on disk through the applied entry of
    /// [`meta`](Self::meta). Otherwise, after a power loss, the file could contain entries that are
    /// in no log and that a new leader may contradict.
    ///
    /// All errors are fatal to the node, except for two. After [`StoreError::Damaged`] the packets
    /// in memory are undamaged, and a checkpoint of [`CheckpointScope::Everything`] does not need
    /// the old file. After [`StoreError::NoSpace`] the last checkpoint is unchanged, and the next
    /// one includes these changes.
    pub fn commit(mut self, speed: IoSpeed) -> Result<Meta, StoreError> {
        let shared = self.shared.clone();
        let timer = shared.metrics.checkpoint_duration_seconds.start_timer();
        match self.everything.take() {
            None => self.commit_changes(speed)?,
            Some(packets) => self.commit_everything(packets)?,
        }
        self.changes.clear();
        shared.set_durable(self.meta.applied);
        timer.observe_duration();
        Ok(self.meta.clone())
    }

    /// Writes the changes in key order, so that each page is changed only once.
    fn commit_changes(&self, speed: IoSpeed) -> Result<(), StoreError> {
        let changes = self.changes.iter();
        let changes = changes.map(|(key, changed)| (*key.as_bytes(), changed.as_deref()));
        let file = self.shared.writable_file()?;
        let growth = growth(self.changes.len(), &self.meta);
        file.reserve_space(&self.shared.config.disk, growth)?;
        file.throttle.set(speed);
        let committed = file.commit(changes, &self.meta);
        file.throttle.set(IoSpeed::Fast);
        file.reservation.release();
        if let Err(StoreError::NoSpace { .. }) = &committed {
            self.shared.reopen_file()?;
        }
        committed
    }

    fn commit_everything(&self, mut packets: Vec<Arc<IndexedPacket>>) -> Result<(), StoreError> {
        let key_of = |indexed: &IndexedPacket| *indexed.compiled.packet().key();
        packets.sort_unstable_by_key(|indexed| key_of(indexed));
        let file = CheckpointFile::create(&self.shared.config, "rebuild")?;
        let packets = packets.iter();
        let packets = packets.map(|indexed| (*key_of(indexed).as_bytes(), Some(&**indexed)));
        file.commit(packets, &self.meta)?;
        self.shared.replace_file(file)
    }
}

impl Drop for Checkpoint {
    fn drop(&mut self) {
        let changes = mem::take(&mut self.changes);
        self.shared.memory.restore_changes(changes);
    }
}

#[cfg(test)]
#[path = "checkpoint_tests.rs"]
mod tests;
