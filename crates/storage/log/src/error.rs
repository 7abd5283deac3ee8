//! What goes wrong.

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
    /// Another process has the directory.
    #[error("the Raft log in {} is held by another process: stop that one first", dir.display())]
    Locked {
        /// The directory of the log.
        dir: PathBuf,
    },
    /// Another version of Quorate wrote the file.
    #[error(
        "{} has version {version} of the format, which this version of Quorate cannot read: run the \
         version that wrote it, or start as a new node in another, empty data directory", path.display()
    )]
    Format { path: PathBuf, version: u32 },
    /// What was durable once is not there.
    #[error(transparent)]
    Damaged(#[from] LogDamage),
}

/// Damage: what was durable once cannot be read, or is not what was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} is damaged at byte {offset}: {what}. The node must not vote with what is left of its log: see \
     docs/trouble/damaged-data.md", path.display()
)]
pub struct LogDamage {
    pub path: PathBuf,
    /// Where in it, in bytes.
    pub offset: u64,
    pub what: String,
}

impl LogError {
    /// Whether it lies in what is on disk, so that trying again changes nothing.
    pub fn is_of_data(&self) -> bool {
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

/// Why bytes are no block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadBlock {
    #[error("the checksum of the block is wrong")]
    Damaged,
    #[error("the block has the unknown version {0}")]
    /// 0 for a block that is whole and has another magic, as those of before this one.
    Version(u32),
}

/// The first error of the writer, of which everybody is told from then on.
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
                "the Raft log has failed at {} and takes nothing more until the node is restarted: \
                 {error}",
                path.display()
            ),
        }
    }

    pub(crate) fn error(&self) -> io::Error {
        io::Error::new(self.kind, self.text.clone())
    }
}
