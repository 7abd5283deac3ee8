//! What a store and its checkpoints share.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use quorate_state::LogPosition;

use crate::{
    StoreConfig, StoreError, StoreMetrics,
    backend::Cause,
    checkpoint_lock::CheckpointLock,
    file::{CheckpointFile, Contents},
    memory::Memory,
};

/// What a checkpoint needs of a store.
pub(crate) struct Shared {
    pub(crate) config: StoreConfig,
    pub(crate) memory: Memory,
    pub(crate) metrics: StoreMetrics,
    pub(crate) checkpoint_lock: Arc<CheckpointLock>,
    file: RwLock<Arc<CheckpointFile>>,
    /// The last entry that the file on disk reflects.
    durable: Mutex<Option<LogPosition>>,
}

impl Shared {
    pub(crate) fn new(
        config: StoreConfig,
        file: CheckpointFile,
        contents: Contents,
        metrics: StoreMetrics,
    ) -> Self {
        Self {
            config,
            durable: Mutex::new(contents.meta.applied),
            memory: Memory::new(contents),
            metrics,
            checkpoint_lock: Arc::default(),
            file: RwLock::new(Arc::new(file)),
        }
    }

    /// The file of the last checkpoint.
    pub(crate) fn file(&self) -> Arc<CheckpointFile> {
        let file = self.file.read();
        file.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn durable(&self) -> Option<LogPosition> {
        *self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_durable(&self, applied: Option<LogPosition>) {
        *self.durable.lock().unwrap_or_else(PoisonError::into_inner) = applied;
    }

    /// Puts a committed file in place of the last one, which holds nothing any more, even when the
    /// new one could not be given its name for sure.
    pub(crate) fn replace_file(&self, mut file: CheckpointFile) -> Result<(), StoreError> {
        let published = file.publish(&self.config);
        published.inspect_err(|_| self.file().closed.set(Cause::Failed))?;
        self.set_file(file);
        Ok(())
    }

    /// The file of the last checkpoint, to be written. One that met a full disk is opened again.
    pub(crate) fn writable_file(&self) -> Result<Arc<CheckpointFile>, StoreError> {
        let file = self.file();
        if file.is_read_only {
            let writable = file.to_be_written(&self.config)?;
            // It reads nothing any more but what it has read before: the other knows nothing of its pages.
            file.closed.set(Cause::Full);
            self.set_file(writable);
        }
        Ok(self.file())
    }

    /// Opens the file again as of the last checkpoint: redb reads nothing more after a failure.
    pub(crate) fn reopen_file(&self) -> Result<(), StoreError> {
        self.set_file(self.file().to_be_read()?);
        Ok(())
    }

    fn set_file(&self, file: CheckpointFile) {
        let mut current = self.file.write().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *current, Arc::new(file));
        drop(current);
        // Closing a file writes to it.
        drop(old);
    }
}
