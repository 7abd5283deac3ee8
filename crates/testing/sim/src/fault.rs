//! Injected failures, blocked syncs and the space limit.

use std::{
    io,
    path::{Path, PathBuf},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// A read of a file.
    Read,
    /// A write, or a change of the size. It is done in part although it fails.
    Write,
    /// A write that needs space. It fails because the disk is full, and is done in part.
    Space,
    /// A sync of a file. No later sync makes durable what the failed one should have.
    Sync,
    SyncDir,
    /// A file that is created, renamed or removed.
    ChangeName,
}

#[derive(Debug)]
struct Fault {
    call: Call,
    under: PathBuf,
    /// How many calls succeed before the failure.
    remaining_successes: usize,
    is_permanent: bool,
}

/// Injected failures, blocked syncs and the space limit.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    faults: Vec<Fault>,
    /// Syncs of files under this path are blocked.
    pub(crate) syncs_blocked_under: Option<PathBuf>,
    pub(crate) waiting_sync_count: usize,
    /// The limit for the space of all files, in bytes.
    pub(crate) space: Option<u64>,
}

impl Faults {
    pub(crate) fn add(&mut self, call: Call, under: &Path, nth: usize, is_permanent: bool) {
        self.faults.push(Fault {
            call,
            under: under.to_owned(),
            remaining_successes: nth.saturating_sub(1),
            is_permanent,
        });
    }

    pub(crate) fn clear(&mut self) {
        self.faults.clear();
        self.space = None;
    }

    /// Counts a call. Returns an error when it must fail.
    pub(crate) fn check(&mut self, call: Call, path: &Path) -> io::Result<()> {
        let mut failed = false;
        self.faults.retain_mut(|fault| {
            if fault.call != call || !path.starts_with(&fault.under) {
                return true;
            }
            let succeeds = fault.remaining_successes > 0;
            fault.remaining_successes = fault.remaining_successes.saturating_sub(1);
            failed |= !succeeds;
            succeeds || fault.is_permanent
        });
        match (failed, call) {
            (true, Call::Space) => Err(io::ErrorKind::StorageFull.into()),
            (true, _) => Err(io::Error::other("the medium failed")),
            (false, _) => Ok(()),
        }
    }

    /// Whether a sync of this file is blocked.
    pub(crate) fn blocks_sync(&self, path: &Path) -> bool {
        self.syncs_blocked_under
            .as_ref()
            .is_some_and(|under| path.starts_with(under))
    }
}
