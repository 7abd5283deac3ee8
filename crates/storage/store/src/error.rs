//! The errors of the store.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::Damage;

/// Why the store failed. All errors are fatal to the node, except for three: a snapshot that
/// arrived damaged, which the leader sends again; damage, which is repaired from memory or from a
/// peer; and a lack of space.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file was written by a version that this one cannot read.
    #[error(
        "the store {} has format \"{}\", but this version of Quorate reads \"{}\": run the \
         version of Quorate that wrote it, or start a new node with an empty data directory",
        path.display(), found.escape_ascii(), supported.escape_ascii()
    )]
    Format {
        path: PathBuf,
        found: [u8; 4],
        /// The format of this version.
        supported: [u8; 4],
    },
    /// Another process has the file open.
    #[error("the store {} is in use: stop the other process first", path.display())]
    InUse { path: PathBuf },
    /// A read or a write failed.
    #[error("the store failed")]
    Redb(#[source] Box<redb::Error>),
    /// The disk has no space for a write. Nothing is lost, and the file is unchanged: retry once
    /// there is space.
    #[error("there is no space to write {}: free space on its disk", path.display())]
    NoSpace {
        /// The file that could not be written.
        path: PathBuf,
    },
    /// The file differs from what was written to it.
    #[error("{0}")]
    Damaged(Damage),
    /// An operation on a file of the store failed.
    #[error("{} cannot be {action}", path.display())]
    File {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// A snapshot arrived damaged or in a form that this version does not know.
    #[error("the received snapshot cannot be used: {0}")]
    Snapshot(&'static str),
}

impl StoreError {
    pub(crate) fn no_space(path: &Path) -> Self {
        let path = path.to_owned();
        Self::NoSpace { path }
    }

    /// Whether the cause is the data on disk, so that a retry fails too.
    pub fn is_data_error(&self) -> bool {
        matches!(self, Self::Format { .. } | Self::Damaged(_))
    }
}

impl From<Damage> for StoreError {
    fn from(damage: Damage) -> Self {
        Self::Damaged(damage)
    }
}

macro_rules! from_redb {
    ($($error:ident),*) => {
        $(impl From<redb::$error> for StoreError {
            fn from(error: redb::$error) -> Self {
                Self::Redb(Box::new(error.into()))
            }
        })*
    };
}

from_redb!(
    CommitError,
    DatabaseError,
    SetDurabilityError,
    StorageError,
    TableError,
    TransactionError
);
