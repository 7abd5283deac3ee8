//! Running redb over pages that may be damaged.
//!
//! Over some of them redb panics. That is printed like any panic, and caught here. Should it panic a
//! second time while it cleans up, the process ends, and the next start finds what is wrong: it
//! verifies all pages before it follows them.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use crate::{
    Damage, StoreError,
    backend::{Cause, Closed},
};

/// Runs redb to read: what cannot be read is damaged, be it by a disk that says so.
pub(crate) fn reading<T>(
    path: &Path,
    closed: &Closed,
    work: impl FnOnce() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    caught(path, closed, work).map_err(|error| match error {
        StoreError::Redb(error) if matches!(*error, redb::Error::Io(_)) => {
            Damage::new(path, error.to_string()).into()
        }
        error => error,
    })
}

/// Runs redb, which panics over some damaged pages. After that, be it over a page that was only read,
/// nothing is written to this file any more: what else redb left half done nobody knows.
pub(crate) fn caught<T>(
    path: &Path,
    closed: &Closed,
    work: impl FnOnce() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    use redb::Error::{DatabaseClosed, Io, PreviousIo};

    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Err(StoreError::Redb(error))) => match (*error, closed.cause()) {
            (Io(_) | PreviousIo | DatabaseClosed, Some(Cause::Full)) => {
                Err(StoreError::no_space(path))
            }
            (Io(_) | PreviousIo | DatabaseClosed, Some(Cause::Damaged)) => {
                Err(Damage::new(path, "a page of it could not be read before").into())
            }
            (error @ (Io(_) | PreviousIo | DatabaseClosed), _) => {
                Err(StoreError::Redb(Box::new(error)))
            }
            (error, _) => Err(Damage::new(path, error.to_string()).into()),
        },
        Ok(result) => result,
        Err(panic) => {
            closed.set(Cause::Damaged);
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
