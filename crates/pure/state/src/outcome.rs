//! Outcomes of commands.

use crate::{
    CommandError, JoinRejection, Level, PublishRejection, PutOutcome, SecretRejection,
    ZoneRejection,
};

/// The outcome of applying a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The outcome of a `PutBatch`.
    Put {
        /// For each packet, in the order of the batch.
        outcomes: Vec<PutOutcome>,
        /// How many packets were evicted for them.
        evicted_count: u64,
    },
    /// How many packets `Expire` removed.
    Expired(usize),
    /// Applied. For all commands without their own variant here.
    Agreed,
    /// The outcome of `Join`.
    Joined(Result<(), JoinRejection>),
    /// The outcome of `DeletePacket`.
    Deleted {
        /// Whether there was a packet.
        existed: bool,
    },
    /// The entry was rejected and changed nothing.
    Rejected(Rejection),
}

/// Why all nodes reject an entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// It is not a command.
    #[error("it cannot be decoded")]
    NoCommand(#[from] CommandError),
    /// The cluster does not use its level yet.
    #[error("it needs feature level {needed}, and the cluster is at {agreed}")]
    AboveCluster {
        /// The level of the command.
        needed: Level,
        agreed: Level,
    },
    /// The maximum number of invites is open.
    #[error("too many invites are open")]
    InviteCount,
    /// A registration exceeds a limit, or there are too many.
    #[error("a registration exceeds its limits")]
    Registration,
    /// A setting is out of its range.
    #[error("a setting is out of its range")]
    Settings,
    /// The result of a backup has a text that exceeds its limit.
    #[error("the result of a backup exceeds its limits")]
    BackupRecord,
    /// The zone would be invalid.
    #[error("this change of the zone is invalid")]
    Zone(#[from] ZoneRejection),
    /// The publish policy would be invalid.
    #[error("this change of the publish policy is invalid")]
    Publishing(#[from] PublishRejection),
    /// The secret is not stored.
    #[error("this secret is not stored")]
    Secret(#[from] SecretRejection),
}
