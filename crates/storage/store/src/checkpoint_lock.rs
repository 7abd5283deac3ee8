//! One checkpoint at a time.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// A lock whose holder may go from thread to thread, as a [`Checkpoint`](crate::Checkpoint) does.
#[derive(Debug, Default)]
pub(crate) struct CheckpointLock {
    held: Mutex<bool>,
    released: Condvar,
}

impl CheckpointLock {
    pub(crate) fn acquire(self: &Arc<Self>) -> CheckpointGuard {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let mut held = self
            .released
            .wait_while(held, |held| *held)
            .unwrap_or_else(PoisonError::into_inner);
        *held = true;
        CheckpointGuard(self.clone())
    }
}

/// The lock, until this is dropped.
#[derive(Debug)]
pub(crate) struct CheckpointGuard(Arc<CheckpointLock>);

impl Drop for CheckpointGuard {
    fn drop(&mut self) {
        *self.0.held.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.0.released.notify_one();
    }
}
