//! Why a node does not start, and why it stops.

use std::path::PathBuf;

use quorate_log::LogError;
use quorate_state::{LogIndex, UnsupportedLevel};
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
         its old identity. Put back the whole directory as it was when the node last ran, for an older \
         copy is not enough; or let a new node replace it: start one with a new, empty data_dir and a \
         token of `quorate member add`, and then run `quorate member replace OLD NEW`",
        .0.display()
    )]
    DataLost(PathBuf),
    /// The log does not reach back to what the store holds, and no other member can help.
    #[error(
        "the store holds the packets as of entry {applied}, and the log begins behind entry \
         {purged}: what lies between is lost. Put back the whole directory as it was when the node \
         last ran, for an older copy is not enough; or let a new node replace this one: start it with \
         a new, empty data_dir and a token of `quorate member add`, and then run `quorate member \
         replace OLD NEW`"
    )]
    Gap {
        /// The last entry that the store reflects, 0 for none.
        applied: LogIndex,
        /// The last entry that was removed from the log.
        purged: LogIndex,
    },
    /// The cluster uses what this program does not know.
    #[error("the node is too old for its cluster")]
    Level(#[from] UnsupportedLevel),
    /// The settings contradict each other.
    #[error("the settings of Raft contradict each other: {0}")]
    Config(String),
    /// What log and store hold cannot be started from.
    #[error("replication cannot start: {0}")]
    Raft(String),
    /// The disk, or this program, failed before the node had started.
    #[error("the node cannot {action}")]
    Step {
        /// What it was about to do.
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

    /// Whether it lies in what is on disk, so that another start changes nothing.
    pub fn is_of_data(&self) -> bool {
        match self {
            Self::Log(error) => error.is_of_data(),
            Self::Store(error) => error.is_of_data(),
            Self::DataLost(_) | Self::Gap { .. } | Self::Level(_) | Self::Raft(_) => true,
            Self::Config(_) | Self::Step { .. } => false,
        }
    }
}

/// Why a node did not stop in order.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ShutdownError {
    /// It had stopped before, by an error or a panic.
    #[error("replication had ended before the node was told to stop")]
    Consensus(#[source] FatalError),
    /// What is applied could not be made durable. The log has it: the next start replays it.
    #[error("the last checkpoint could not be made; the next start reads the log instead: {0}")]
    Checkpoint(String),
}

/// Why a node stopped by itself.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FatalError {
    /// The log, the store or consensus failed.
    #[error("replication has stopped and the node must exit: {0}")]
    Replication(String),
    /// It has lost its data, as its peers know. Starting it again changes nothing.
    #[error("{0}")]
    DataLost(String),
}
