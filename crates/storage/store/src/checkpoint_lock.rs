//! The lock that allows one checkpoint at a time.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// A lock with a guard that can move between threads, as a [`Checkpoint`](crate::Checkpoint) does.
#[derive(Debug, Default)]
pub(crate) struct CheckpointLock {
    is_locked: Mutex<bool>,
    released: Condvar,
}

impl CheckpointLock {
    pub(crate) fn acquire(self: &Arc<Self>) -> CheckpointGuard {
        let is_locked = self.is_locked.lock();
        let is_locked = is_locked.unwrap_or_else(PoisonError::into_inner);
        let mut is_locked = self
            .released
            .wait_while(is_locked, |is_locked| *is_locked)
            .unwrap_or_else(PoisonError::into_inner);
        *is_locked = true;
        CheckpointGuard(self.clone())
    }
}

/// Holds the lock until it is dropped.
#[derive(Debug)]
pub(crate) struct CheckpointGuard(Arc<CheckpointLock>);

impl Drop for CheckpointGuard {
    fn drop(&mut self) {
        let is_locked = self.0.is_locked.lock();
        *is_locked.unwrap_or_else(PoisonError::into_inner) = false;
        self.0.released.notify_one();
    }
}
