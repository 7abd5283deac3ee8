//! Why a node does not start, and why it stops.

use std::path::PathBuf;

use quorate_log::LogError;
use quorate_store::StoreError;

/// Any error, for those who only say it on.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a node cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The log cannot be opened.
    #[error("the node cannot open its log")]
    Log(#[from] LogError),
    /// The store cannot be opened.
    #[error("the node cannot open its store")]
    Store(#[from] StoreError),
    /// The node was a voter and has lost its votes. With its help a leader could be elected that
    /// lacks what this node once acknowledged.
    #[error(
        "{} has lost its Raft log: the node has forgotten what it promised and must not vote under \
         its old identity. Restore the directory as a whole, or empty it and join as a new node",
        .0.display()
    )]
    Forgotten(PathBuf),
    /// The settings contradict each other.
    #[error("the settings of Raft contradict each other: {0}")]
    Config(String),
    /// What log and store hold cannot be started from.
    #[error("replication cannot start: {0}")]
    Raft(String),
}

impl OpenError {
    pub(crate) fn raft(error: impl std::error::Error) -> Self {
        Self::Raft(error.to_string())
    }
}

/// Why a node stopped by itself.
#[derive(Debug, Clone, thiserror::Error)]
#[error("replication has stopped and the node must exit: {0}")]
pub struct FatalError(pub(crate) String);
