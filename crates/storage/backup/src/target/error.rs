//! Errors of targets.

use std::path::PathBuf;

/// Why a target could not be used.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// A local file could not be used: the source of an upload, or one in the target directory.
    #[error("{path} cannot be used")]
    File {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// The store refused a request or did not answer.
    #[error("the store refused {name:?}, or did not answer")]
    Store {
        /// The file, or the prefix of all files.
        name: String,
        #[source]
        source: object_store::Error,
    },
    /// The name is not one of a backup file.
    #[error("{0:?} is not the name of a backup: quorate-….backup without a slash")]
    Name(String),
}
