//! The trace of a disk: all its operations, in order.

use std::path::PathBuf;

/// Identifies a file, independent of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FileId(pub(crate) u64);

#[derive(Debug, Clone)]
pub(crate) enum Operation {
    /// Bytes were written. The file was extended if it was shorter.
    Write {
        file: FileId,
        offset: usize,
        bytes: Vec<u8>,
    },
    /// A file was truncated or extended.
    SetSize { file: FileId, size: usize },
    Sync {
        file: FileId,
        /// How many operations were in the trace when the sync started.
        covers: usize,
        failed: bool,
    },
    /// A name was created, removed or renamed.
    Name(NameChange),
    /// The names of a directory were synced.
    SyncDir { dir: PathBuf },
    /// Bytes of the medium were damaged.
    Damage {
        file: FileId,
        offset: usize,
        bytes: Vec<u8>,
    },
    /// The medium lost the end of a file.
    MediumTruncated { file: FileId, size: usize },
}

/// A change of the names in one directory.
#[derive(Debug, Clone)]
pub(crate) enum NameChange {
    File { path: PathBuf, file: FileId },
    Dir { path: PathBuf },
    Rename { from: PathBuf, to: PathBuf },
    Remove { path: PathBuf },
}
