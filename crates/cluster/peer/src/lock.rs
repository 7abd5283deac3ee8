//! Locks that no panic breaks.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks what is only ever changed in one step: a panic of whoever held the lock has left it whole.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
