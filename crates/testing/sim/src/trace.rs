//! What was done to a disk, in order.

use std::path::PathBuf;

/// A file, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FileId(pub(crate) u64);

#[derive(Debug, Clone)]
pub(crate) enum Operation {
    /// Bytes were written, which extends a file that is shorter.
    Write {
        file: FileId,
        offset: usize,
        bytes: Vec<u8>,
    },
    /// A file was cut or extended.
    SetSize { file: FileId, size: usize },
    Sync {
        file: FileId,
        /// The operations that were there when it began.
        covers: usize,
        failed: bool,
    },
    /// A name was made, given up or passed on.
    Name(NameChange),
    /// The names of a directory were synced.
    SyncDir { dir: PathBuf },
    /// Bytes of the medium changed by themselves.
    Damage {
        file: FileId,
        offset: usize,
        bytes: Vec<u8>,
    },
    /// The medium lost the end of a file.
    Loss { file: FileId, size: usize },
}

/// A change of the names in one directory.
#[derive(Debug, Clone)]
pub(crate) enum NameChange {
    File { path: PathBuf, file: FileId },
    Dir { path: PathBuf },
    Rename { from: PathBuf, to: PathBuf },
    Remove { path: PathBuf },
}
