//! What fails, and what waits.

use std::{
    io,
    path::{Path, PathBuf},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// A read of a file.
    Read,
    /// A write, or a change of the size. A part of it is done all the same.
    Write,
    /// A write that takes space which somebody else took a moment ago: the disk is full. A part of it
    /// is done all the same.
    Space,
    /// A sync of a file. What it should have made durable never will be, by no later sync.
    Sync,
    SyncDir,
    /// A name that is made, passed on or given up.
    Name,
}

#[derive(Debug)]
struct Fault {
    call: Call,
    under: PathBuf,
    /// How many calls are still good.
    good: usize,
    lasting: bool,
}

/// All failures to come, and the gate before syncs.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    faults: Vec<Fault>,
    /// Syncs of files under this path wait.
    pub(crate) closed: Option<PathBuf>,
    pub(crate) waiting: usize,
    /// The bytes that all files may have together.
    pub(crate) space: Option<u64>,
}

impl Faults {
    pub(crate) fn add(&mut self, call: Call, under: &Path, nth: usize, lasting: bool) {
        self.faults.push(Fault {
            call,
            under: under.to_owned(),
            good: nth.saturating_sub(1),
            lasting,
        });
    }

    pub(crate) fn clear(&mut self) {
        self.faults.clear();
        self.space = None;
    }

    /// Counts a call, which fails when its time has come.
    pub(crate) fn check(&mut self, call: Call, path: &Path) -> io::Result<()> {
        let mut failed = false;
        self.faults.retain_mut(|fault| {
            if fault.call != call || !path.starts_with(&fault.under) {
                return true;
            }
            let good = fault.good > 0;
            fault.good = fault.good.saturating_sub(1);
            failed |= !good;
            good || fault.lasting
        });
        match (failed, call) {
            (true, Call::Space) => Err(io::ErrorKind::StorageFull.into()),
            (true, _) => Err(io::Error::other("the medium failed")),
            (false, _) => Ok(()),
        }
    }

    pub(crate) fn holds(&self, path: &Path) -> bool {
        self.closed
            .as_ref()
            .is_some_and(|under| path.starts_with(under))
    }
}
