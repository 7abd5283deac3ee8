//! Why a new cluster cannot be made.

use std::{io, path::PathBuf};

use quorate_log::LogError;
use quorate_state::UnsupportedLevel;
use quorate_store::StoreError;

/// Why a new cluster cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// A log cannot be read or created.
    #[error("the Raft log cannot be used")]
    Log(#[from] LogError),
    /// A store cannot be read or created.
    #[error("the store cannot be used")]
    Store(#[from] StoreError),
    /// The packets of the best survivor cannot be read, so its entries have nothing to be applied to.
    #[error(
        "the packets in {} cannot be read, and its log does not go back to the first entry ({reason}). Rerun \
         with --salvage to bring every packet that can be verified",
        dir.display()
    )]
    Unreadable { dir: PathBuf, reason: String },
    /// The packets are of a newer program.
    #[error(transparent)]
    Level(#[from] UnsupportedLevel),
    /// No directory has anything.
    #[error("none of the directories contains an entry or a packet")]
    Nothing,
    /// The packets of the caller cannot be read.
    #[error("the packets to bring cannot be read")]
    Source(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A file cannot be written.
    #[error("{} cannot be written", path.display())]
    Write { path: PathBuf, source: io::Error },
}
