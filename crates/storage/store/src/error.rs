//! What can go wrong.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::Damage;

/// Why the store failed. All of these are fatal to the node, but for a snapshot that arrived
/// damaged, which the leader sends again, for damage, which memory or a peer heals, and for a lack
/// of space.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file was written by a version that this one cannot read.
    #[error(
        "the store {} has format \"{}\", this version reads \"{}\": run the version that wrote it, or \
         start as a new node in another, empty data directory",
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
    /// The disk has no space for what is to be written. Nothing is lost, and what was there is as it
    /// was: worth another try once there is space.
    #[error("there is no space for {}: make room on its disk", path.display())]
    NoSpace {
        /// What could not be written.
        path: PathBuf,
    },
    /// What is stored cannot be what was written.
    #[error("{0}")]
    Damaged(Damage),
    /// A file of the store, or one beside it, cannot be handled.
    #[error("{} cannot be {action}", path.display())]
    File {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// A snapshot arrived damaged or in a form that this version does not know.
    #[error("the snapshot received is unusable: {0}")]
    Snapshot(&'static str),
}

impl StoreError {
    pub(crate) fn no_space(path: &Path) -> Self {
        let path = path.to_owned();
        Self::NoSpace { path }
    }

    /// Whether it lies in what is on disk, so that trying again changes nothing.
    pub fn is_of_data(&self) -> bool {
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
