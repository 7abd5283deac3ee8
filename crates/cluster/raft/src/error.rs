//! Why a node does not start, and why it stops.

use std::path::PathBuf;

use quorate_log::LogError;
use quorate_secrets::KeyFileError;
use quorate_state::{LogIndex, UnsupportedLevel};
use quorate_store::StoreError;

/// Any error, for callers that only pass it on.
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
    /// The file of the cluster keys cannot be used.
    #[error("the node cannot open its cluster keys")]
    Keys(#[from] KeyFileError),
    /// The node was a voter and has lost its votes. With its vote a leader could be elected that
    /// lacks entries which this node once acknowledged.
    #[error(
        "{} has lost its Raft log, and without it the node must not vote under its old identity. \
         Restore the complete directory as it was when the node last ran (an older copy is not \
         enough); or replace the node: start a new one with a new, empty data_dir and a token of \
         `quorate member add`, and then run `quorate member replace OLD NEW`",
        .0.display()
    )]
    DataLost(PathBuf),
    /// Entries are missing between the store and the first entry of the log, and no other member
    /// can help.
    #[error(
        "the store has the packets as of entry {applied}, and the log starts after entry {purged}: the \
         entries between them are lost. Restore the complete directory as it was when the node last \
         ran (an older copy is not enough); or replace the node: start a new one with a new, empty \
         data_dir and a token of `quorate member add`, and then run `quorate member replace OLD NEW`"
    )]
    Gap {
        /// The last entry that the store reflects, 0 for none.
        applied: LogIndex,
        /// The last entry that was removed from the log.
        purged: LogIndex,
    },
    /// The cluster uses a feature level that this program does not know.
    #[error("the node is too old for its cluster")]
    Level(#[from] UnsupportedLevel),
    /// The settings contradict each other.
    #[error("the settings of Raft contradict each other: {0}")]
    Config(String),
    /// Consensus cannot start from the contents of log and store.
    #[error("replication cannot start: {0}")]
    Raft(String),
    /// The disk, or this program, failed before the node had started.
    #[error("the node cannot {action}")]
    Step {
        /// What the node was about to do.
        action: &'static str,
        /// Why it cannot.
        source: std::io::Error,
    },
}

impl OpenError {
    pub(crate) fn raft(error: impl std::error::Error) -> Self {
        Self::Raft(error.to_string())
    }

    pub(crate) fn step<E>(action: &'static str) -> impl FnOnce(E) -> Self
    where
        E: Into<BoxError>,
    {
        move |source| Self::Step {
            action,
            source: std::io::Error::other(source),
        }
    }

    /// Whether the cause is in the data on disk, so that another start fails too.
    pub fn is_data_error(&self) -> bool {
        match self {
            Self::Log(error) => error.is_data_error(),
            Self::Store(error) => error.is_data_error(),
            Self::DataLost(_) | Self::Gap { .. } | Self::Level(_) | Self::Raft(_) => true,
            Self::Keys(error) => matches!(error, KeyFileError::Damaged(_)),
            Self::Config(_) | Self::Step { .. } => false,
        }
    }
}

/// Why a node did not stop cleanly.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ShutdownError {
    /// Replication had stopped before, because of an error or a panic.
    #[error("replication had already stopped when the node was asked to stop")]
    Consensus(#[source] FatalError),
    /// The applied entries could not be made durable. The log has them: the next start replays it.
    #[error(
        "the last checkpoint could not be written; the next start replays the log instead: {0}"
    )]
    Checkpoint(String),
}

/// Why a node stopped on its own.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FatalError {
    /// The log, the store or consensus failed.
    #[error("replication has stopped and the node must exit: {0}")]
    Replication(String),
    /// Its peers know that this node has lost its data. Starting it again does not help.
    #[error("{0}")]
    DataLost(String),
}
