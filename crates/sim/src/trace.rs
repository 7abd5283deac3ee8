//! What was done to a disk, in order.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

/// A file, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FileId(pub(crate) u64);

/// The contents of files. One that is shared is copied when it is written to.
pub(crate) type Contents = BTreeMap<FileId, Arc<Vec<u8>>>;

/// What was done.
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
    /// A file was synced.
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

/// Writes into contents as the kernel would show it.
pub(crate) fn write(contents: &mut Contents, file: FileId, offset: usize, bytes: &[u8]) {
    let content = Arc::make_mut(contents.entry(file).or_default());
    let end = offset + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset..end].copy_from_slice(bytes);
}

/// Cuts or extends a file.
pub(crate) fn resize(contents: &mut Contents, file: FileId, size: usize) {
    Arc::make_mut(contents.entry(file).or_default()).resize(size, 0);
}
