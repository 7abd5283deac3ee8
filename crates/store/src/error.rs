//! What can go wrong.

use std::path::PathBuf;

/// Why the store failed. All of these are fatal to the node, but for a snapshot that arrived
/// damaged, which the leader sends again.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file cannot be opened.
    #[error("the store {} cannot be opened", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<redb::Error>,
    },
    /// The file was written by a version that this one cannot read.
    #[error("the store {} has format {found}, this version reads {supported}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u8,
        /// The format of this version.
        supported: u8,
    },
    /// A read or a write failed.
    #[error("the store failed")]
    Redb(#[source] Box<redb::Error>),
    /// What is stored cannot be what was written.
    #[error("the store is damaged: {0}")]
    Damaged(String),
    /// A file beside the store cannot be handled.
    #[error("{} cannot be {action}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A snapshot arrived damaged or in a form that this version does not know.
    #[error("the snapshot received is unusable: {0}")]
    Snapshot(&'static str),
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
    SetDurabilityError,
    StorageError,
    TableError,
    TransactionError
);
