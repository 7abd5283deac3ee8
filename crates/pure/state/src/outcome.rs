//! What comes of a command.

use serde::{Deserialize, Serialize};

use crate::{CommandError, JoinRefusal, Level, PublishRejection, ZoneRejection};

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

/// What became of one packet. Nodes tell it each other, so its variants are never reordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PutOutcome {
    Stored,
    /// It was stored before; the cluster has received it again.
    Unchanged,
    /// A newer one is stored, or this one was deleted, or one that is newer.
    Superseded,
    /// Its timestamp lies too far ahead of the cluster's time:
    /// [`PutBatch::timestamp_max`](crate::PutBatch::timestamp_max).
    TooFarAhead,
    /// Its key is unknown, the [`Capacity`](crate::Capacity) is reached, and no stored packet is old
    /// enough to give way.
    Full,
    /// What is stored is not what its [`Conditions`](crate::Conditions) ask for.
    ConditionFailed,
    /// Its key may not publish, as operators have agreed.
    Forbidden,
    /// Its key may not publish until a time that operators have agreed on.
    Blocked,
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
