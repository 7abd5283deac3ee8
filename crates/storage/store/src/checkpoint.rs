//! Checkpoints being made.

use std::{mem, sync::Arc};

use quorate_replica::IndexedPacket;

use crate::{
    IoSpeed, Meta, StoreError, checkpoint_lock::CheckpointGuard, file::CheckpointFile,
    memory::Changes, shared::Shared,
};

/// What a checkpoint of no change may grow a file by, in bytes: some pages for each table, and redb's
/// list of free pages.
const GROWTH_MIN: u64 = 1024 * 1024;

/// What a changed packet may grow a file by, in bytes: the largest one with its place in the table.
/// The pages that are written in place of others are there from the checkpoint before.
const CHANGE_GROWTH: u64 = 1536;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckpointScope {
    /// What changed since the last one, into the file.
    Changes,
    /// All packets, into a new file: whatever is wrong with the old one goes with it.
    Everything,
}

/// The packets at one moment, to be made durable. While it lives, no other checkpoint begins.
///
/// Dropped before it is committed, it leaves its changes to the next one.
#[must_use = "nothing is durable before it is committed"]
pub struct Checkpoint {
    shared: Arc<Shared>,
    meta: Meta,
    changes: Changes,
    everything: Option<Vec<Arc<IndexedPacket>>>,
    _guard: CheckpointGuard,
}

/// What a checkpoint of so many changes may grow the file by, in bytes.
pub(crate) fn growth(change_count: usize, meta: &Meta) -> u64 {
    GROWTH_MIN + change_count as u64 * CHANGE_GROWTH + meta_growth(meta)
}

/// What the lists of those who may publish add to that, which have their place in what a store says of
/// itself. redb rounds a value up to a power of two, and keeps the last one beside it.
pub(crate) fn meta_growth(meta: &Meta) -> u64 {
    4 * meta.cluster.publishing.size() as u64
}

impl Checkpoint {
    pub(crate) fn begin(shared: Arc<Shared>, scope: CheckpointScope) -> Self {
        shared.file().throttle.hurry();
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

    /// Makes them durable, beside reads and transactions, and says what they reflect. To be called
    /// where a thread may block.
    ///
    /// The Raft log must be on disk through the applied entry of [`meta`](Self::meta) before. After
    /// a loss of power a file ahead of its log would hold entries that no other node need have, and
    /// that a new leader may contradict.
    ///
    /// Any error is fatal to the node, but for two. After [`StoreError::Damaged`] memory is whole, and
    /// a checkpoint of [`CheckpointScope::Everything`] needs nothing of the old file. After
    /// [`StoreError::NoSpace`] the last checkpoint is as it was, and the next one makes up for this.
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

    /// In order, so that each page is changed once.
    fn commit_changes(&self, speed: IoSpeed) -> Result<(), StoreError> {
        let changes = self.changes.iter();
        let changes = changes.map(|(key, changed)| (*key.as_bytes(), changed.as_deref()));
        let file = self.shared.writable_file()?;
        let growth = growth(self.changes.len(), &self.meta);
        file.reserve(&self.shared.config.disk, growth)?;
        file.throttle.set(speed);
        let committed = file.commit(changes, &self.meta);
        file.throttle.set(IoSpeed::Fast);
        file.reserve.give_back();
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
        self.shared.memory.take_back(mem::take(&mut self.changes));
    }
}

#[cfg(test)]
#[path = "checkpoint_tests.rs"]
mod tests;
