//! The errors of the log.

use std::{
    io,
    path::{Path, PathBuf},
};

/// Why the log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A file cannot be read or written.
    #[error("{} cannot be read or written", path.display())]
    Io {
        /// The file, or the directory.
        path: PathBuf,
        source: io::Error,
    },
    /// Another process uses the directory.
    #[error("another process uses the Raft log in {}: stop that process first", dir.display())]
    Locked {
        /// The directory of the log.
        dir: PathBuf,
    },
    /// Another version of Quorate wrote the file.
    #[error(
        "{} has format version {version}, which this version of Quorate cannot read: run the \
         version of Quorate that wrote it, or start a new node with an empty data directory",
        path.display()
    )]
    Format { path: PathBuf, version: u32 },
    /// Data that was durable is missing or changed.
    #[error(transparent)]
    Damaged(#[from] LogDamage),
}

/// Damage: data that was durable cannot be read, or is not what was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} is damaged at byte {offset}: {what}. This node must not vote with an incomplete log: see \
     docs/trouble/damaged-data.md",
    path.display()
)]
pub struct LogDamage {
    pub path: PathBuf,
    /// The offset in the file, in bytes.
    pub offset: u64,
    pub what: String,
}

impl LogError {
    /// Whether the cause is the data on disk, so that a retry fails too.
    pub fn is_data_error(&self) -> bool {
        matches!(self, Self::Format { .. } | Self::Damaged(_))
    }

    pub(crate) fn io(path: &Path) -> impl Fn(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            path: path.clone(),
            source,
        }
    }

    pub(crate) fn damaged(path: &Path, offset: u64, what: impl ToString) -> Self {
        Self::Damaged(LogDamage {
            path: path.to_owned(),
            offset,
            what: what.to_string(),
        })
    }

    pub(crate) fn bad_block(path: &Path, bad: BadBlock) -> Self {
        match bad {
            BadBlock::Damaged => Self::damaged(path, 0, bad),
            BadBlock::Version(version) => Self::Format {
                path: path.to_owned(),
                version,
            },
        }
    }
}

/// Why bytes are not a valid block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadBlock {
    #[error("the checksum of the block is wrong")]
    Damaged,
    #[error("the block has the unknown version {0}")]
    /// 0 for an undamaged block with another magic, as older formats had.
    Version(u32),
}

/// The first error of the writer. Every later call returns it.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    kind: io::ErrorKind,
    text: String,
}

impl Failure {
    pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self {
            kind: error.kind(),
            text: format!(
                "the Raft log has failed at {} and accepts no more writes until the node is \
                 restarted: {error}",
                path.display()
            ),
        }
    }

    pub(crate) fn error(&self) -> io::Error {
        io::Error::new(self.kind, self.text.clone())
    }
}
