//! What comes of a command.

use crate::{CommandError, JoinRefusal, Level, PublishRejection, PutOutcome, ZoneRejection};

/// What applying a command gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Of a `PutBatch`.
    Put {
        /// For each packet, in the order of the batch.
        outcomes: Vec<PutOutcome>,
        /// How many packets gave way to them.
        evicted_count: u64,
    },
    /// How many packets `Expire` removed.
    Expired(usize),
    /// The cluster has agreed on it: of all commands that name nothing of their own here.
    Agreed,
    /// Of `Join`.
    Joined(Result<(), JoinRefusal>),
    /// Of `DeletePacket`.
    Deleted {
        /// Whether there was a packet.
        existed: bool,
    },
    /// The entry was no command to apply, and changed nothing.
    Rejected(Rejection),
}

/// Why all nodes reject an entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// It is no command.
    #[error("it cannot be decoded")]
    NoCommand(#[from] CommandError),
    /// The cluster does not use it yet.
    #[error("it needs feature level {needed}, and the cluster is at {agreed}")]
    AboveCluster {
        /// The level of the command.
        needed: Level,
        agreed: Level,
    },
    /// As many invites are open as the cluster keeps.
    #[error("as many invites are open as the cluster keeps")]
    InviteCount,
    /// A registration is beyond its bounds, or there are too many.
    #[error("a registration is beyond its bounds")]
    Registration,
    /// A zone would not be what a zone can be.
    #[error("the zone cannot be changed so")]
    Zone(#[from] ZoneRejection),
    /// Who may publish would not be what the cluster can keep.
    #[error("who may publish cannot be changed so")]
    Publishing(#[from] PublishRejection),
}
