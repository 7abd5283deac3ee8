//! Running redb on pages that may be damaged.
//!
//! On some of them redb panics. The panic is printed like any other, and caught here. If redb
//! panics a second time while it cleans up, the process ends. The next start finds the damage,
//! because it verifies all pages before it follows them.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use crate::{
    Damage, StoreError,
    backend::{CloseReason, CloseState},
};

/// Runs redb to read. Returns [`Damage`] for anything that cannot be read, also for an I/O error.
pub(crate) fn reading<T>(
    path: &Path,
    closed: &CloseState,
    work: impl FnOnce() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    catching_panics(path, closed, work).map_err(|error| match error {
        StoreError::Redb(error) if matches!(*error, redb::Error::Io(_)) => {
            Damage::new(path, error.to_string()).into()
        }
        error => error,
    })
}

/// Runs redb, and returns [`Damage`] when it panics. After a panic, even while reading, nothing is
/// written to this file any more: it is unknown what redb left half done.
pub(crate) fn catching_panics<T>(
    path: &Path,
    closed: &CloseState,
    work: impl FnOnce() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    use redb::Error::{DatabaseClosed, Io, PreviousIo};

    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Err(StoreError::Redb(error))) => match (*error, closed.reason()) {
            (Io(_) | PreviousIo | DatabaseClosed, Some(CloseReason::Full)) => {
                Err(StoreError::no_space(path))
            }
            (Io(_) | PreviousIo | DatabaseClosed, Some(CloseReason::Damaged)) => {
                Err(Damage::new(path, "an earlier read of a page failed").into())
            }
            (error @ (Io(_) | PreviousIo | DatabaseClosed), _) => {
                Err(StoreError::Redb(Box::new(error)))
            }
            (error, _) => Err(Damage::new(path, error.to_string()).into()),
        },
        Ok(result) => result,
        Err(panic) => {
            closed.set(CloseReason::Damaged);
            Err(Damage::new(path, message(&*panic)).into())
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let message = panic.downcast_ref::<String>().map(String::as_str);
    message
        .or_else(|| panic.downcast_ref().copied())
        .unwrap_or("redb panicked")
}
