//! The state that a store and its checkpoints share.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use quorate_state::LogPosition;

use crate::{
    StoreConfig, StoreError, StoreMetrics,
    backend::CloseReason,
    checkpoint_lock::CheckpointLock,
    file::{CheckpointFile, Contents},
    memory::Memory,
};

/// The state that a store and its checkpoints share.
pub(crate) struct Shared {
    pub(crate) config: StoreConfig,
    pub(crate) memory: Memory,
    pub(crate) metrics: StoreMetrics,
    pub(crate) checkpoint_lock: Arc<CheckpointLock>,
    file: RwLock<Arc<CheckpointFile>>,
    /// The last entry that is applied in the file on disk.
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

    /// Replaces the file by a committed one. If that fails, the old file is closed too: the name
    /// may already be that of the new file.
    pub(crate) fn replace_file(&self, mut file: CheckpointFile) -> Result<(), StoreError> {
        let published = file.publish(&self.config);
        published.inspect_err(|_| self.file().closed.set(CloseReason::Failed))?;
        self.set_file(file);
        Ok(())
    }

    /// The file of the last checkpoint, writable. After a full disk it is opened again.
    pub(crate) fn writable_file(&self) -> Result<Arc<CheckpointFile>, StoreError> {
        let file = self.file();
        if file.is_read_only {
            let writable = file.reopen_writable(&self.config)?;
            // The writable file may overwrite the pages that the read-only one uses.
            file.closed.set(CloseReason::Full);
            self.set_file(writable);
        }
        Ok(self.file())
    }

    /// Opens the file again, as of the last checkpoint: after a failure redb cannot read any more.
    pub(crate) fn reopen_file(&self) -> Result<(), StoreError> {
        self.set_file(self.file().reopen_read_only()?);
        Ok(())
    }

    fn set_file(&self, file: CheckpointFile) {
        let mut current = self.file.write().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *current, Arc::new(file));
        drop(current);
        // After the lock is released, because closing a file writes to it.
        drop(old);
    }
}
