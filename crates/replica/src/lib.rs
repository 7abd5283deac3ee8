//! The waist: the one trait through which every front reads, proposes and asks for status.
//!
//! Fronts (HTTP, DNS, admin) know a [`Replica`] and nothing of Raft, log or store; whatever
//! replicates knows nothing of fronts. Values and one trait live here, and nothing with an effect.

use std::fmt;

use futures_util::future::BoxFuture;
use quorate_packet::{PublicKey, SignedPacket};
pub use quorate_state::{PutOutcome, Record};
use serde::Serialize;

/// A node's replica of the records.
pub trait Replica: Send + Sync + 'static {
    /// Stores a verified packet through the cluster. Resolves when the outcome is known *and* this
    /// node has applied it, and in any case within the node's deadline for PUTs.
    fn put(&self, packet: SignedPacket) -> BoxFuture<'_, Result<PutOutcome, PutError>>;

    /// The record of `key` in the local replica, which may lag behind the leader's.
    fn record(&self, key: &PublicKey) -> Result<Option<Record>, ReadError>;

    /// Resolves when the local replica holds everything that was committed before the call
    /// (ReadIndex: Ongaro, *Consensus: Bridging Theory and Practice*, section 6.4).
    fn linearize(&self) -> BoxFuture<'_, Result<(), LinearizeError>>;

    /// How the node stands.
    fn status(&self) -> Status;

    /// A digest over all records and the applied index they stand at. Reads everything.
    fn digest(&self) -> BoxFuture<'_, Result<StateDigest, ReadError>>;
}

/// Why a PUT has no outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PutError {
    /// Surely not stored: no leader took it before the deadline.
    #[error("no leader could be reached before the deadline; the packet is not stored")]
    NoLeader,
    /// Surely not stored: too many PUTs are waiting already.
    #[error("too many PUTs are waiting; the packet is not stored")]
    Overloaded,
    /// Surely not stored: the node is stopping.
    #[error("the node is shutting down; the packet is not stored")]
    ShuttingDown,
    /// Perhaps stored: repeating the same bytes is safe.
    #[error("the outcome is unknown; the packet may be stored, and repeating it is safe")]
    Unknown,
}

/// Why the local replica cannot be read.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the store cannot be read: {0}")]
pub struct ReadError(pub String);

/// Why a read cannot be made linearizable now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no leader confirmed what is committed before the deadline")]
pub struct LinearizeError;

/// A node's part in the cluster (Raft paper, section 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Orders commands.
    Leader,
    /// Follows a leader.
    Follower,
    /// Stands for election.
    Candidate,
    /// Receives the log without a vote.
    Learner,
    /// Stopped, by order or by an error.
    Stopped,
}

impl Role {
    /// Every role, for metrics.
    pub const ALL: [Self; 5] = [
        Self::Leader,
        Self::Follower,
        Self::Candidate,
        Self::Learner,
        Self::Stopped,
    ];

    /// Its name in metrics and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Leader => "leader",
            Self::Follower => "follower",
            Self::Candidate => "candidate",
            Self::Learner => "learner",
            Self::Stopped => "stopped",
        }
    }
}

/// How a node stands. Indexes are of the Raft log and start at 1 with the first entry a client
/// could have caused; 0 stands for none.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// This node's id.
    pub node: String,
    /// Its role.
    pub role: Role,
    /// The current term.
    pub term: u64,
    /// The leader's id, if one is known.
    pub leader: Option<String>,
    /// The last entry in the local log.
    pub last_log_index: u64,
    /// The last entry this node knows to be committed.
    pub committed_index: u64,
    /// The last entry applied to the local records.
    pub applied_index: u64,
    /// The last entry that the durable checkpoint holds.
    pub checkpoint_index: u64,
    /// The last entry removed from the log.
    pub purged_index: u64,
    /// At the leader: how many entries the voter that is furthest behind lacks of its log.
    pub replication_lag: Option<u64>,
    /// The ids of the voters.
    pub voters: Vec<String>,
    /// The number of records.
    pub record_count: u64,
    /// The size of the store's file, in bytes.
    pub store_size: u64,
    /// Why the node is not ready to serve, if it is not.
    pub not_ready: Option<NotReady>,
}

/// Why a node is not ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NotReady {
    /// It still applies what it had committed before it stopped.
    Recovering,
    /// It knows no leader, so it takes no PUTs; it still answers reads.
    NoLeader,
    /// It is shutting down.
    ShuttingDown,
    /// It hit a fatal error and is about to exit.
    Failed,
}

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Recovering => "still applying the log that was committed before the last stop",
            Self::NoLeader => "no leader is known: PUTs wait, reads and DNS are served",
            Self::ShuttingDown => "shutting down",
            Self::Failed => "a fatal error stopped replication; the log says which",
        })
    }
}

/// A digest over all records, equal on all nodes at equal applied index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StateDigest {
    /// The last entry that the digested records reflect.
    pub applied_index: u64,
    /// The number of records.
    pub record_count: u64,
    /// SHA-256 over all records in key order, in hexadecimal.
    pub sha256: String,
}
