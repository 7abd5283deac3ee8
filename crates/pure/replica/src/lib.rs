//! The waist: the traits through which fronts read, write and ask how a node is.
//!
//! Fronts (HTTP, DNS, admin) know these and nothing of Raft, log or store; whatever replicates
//! knows nothing of fronts. Values and traits live here, and nothing with an effect.
//!
//! | piece | what it is | who uses it |
//! |---|---|---|
//! | [`Reader`] | the packets in the local replica, and what the cluster agreed on that DNS serves | relay, DNS |
//! | [`IndexedPacket`] | a packet, made ready to be served | relay, DNS |
//! | [`Observer`] | how the node is | relay, admin |
//! | [`Replica`] | these two; it stores packets through the cluster, makes the next read linearizable, and tells what changes | relay, admin |
//! | [`Operator`] | all of that; how the cluster is, and changes of it | admin |

#![warn(missing_docs)]

use std::{sync::Arc, time::Duration};

use futures_util::{future::BoxFuture, stream::BoxStream};
use quorate_api::{Asked, Problem, ProblemType};
pub use quorate_api::{
    ChangeKind, ChangedPacket, Changes, ClockState, NodeClock, NodeStatus, NotReady, Role,
    StateDigest, VoterCount,
};
use quorate_packet::{PublicKey, SignedPacket};
pub use quorate_state::{
    ClusterId, Condition, Conditions, CookieSecret, CookieSecrets, Deletion, LogIndex, NamedSet,
    NodeId, PublishChange, PublishMode, PublishState, PutOutcome, RecordSet, ReplicatedZone,
    StoredPacket, Term, TokenHash, TooManyVersions, UnixMillis, Version, WireName, ZoneChange,
    ZoneRejection, ZoneState, check_beside, check_owner, check_together,
};
use quorate_zone::CompiledPacket;

/// Reads the packets in the local replica.
pub trait Reader: Send + Sync + 'static {
    /// What the local replica holds of `key`, ready to be served. It may lag behind the leader's.
    fn packet(&self, key: &PublicKey) -> Result<Option<Arc<IndexedPacket>>, ReadError>;

    /// The same as it is stored, with the time at which it was received.
    fn stored_packet(&self, key: &PublicKey) -> Result<Option<StoredPacket>, ReadError> {
        let indexed = self.packet(key)?;
        Ok(indexed.map(|indexed| indexed.stored()))
    }

    /// Whether it has caught up since it started, so that what it lacks may be said not to exist.
    fn check_ready(&self) -> Result<(), ReadError>;

    /// Another number each time that [`zone_state`](Self::zone_state) has changed.
    fn zone_version(&self) -> u64;

    /// What the cluster has agreed on that DNS serves beside packets.
    fn zone_state(&self) -> Arc<ZoneState>;
}

/// A packet, made ready to be served when it was applied.
#[derive(Debug, Clone)]
pub struct IndexedPacket {
    /// When the cluster last received it: a stamp, see [`ReadState::set_back`].
    pub received: UnixMillis,
    /// The packet, ready for questions.
    pub compiled: CompiledPacket,
}

impl IndexedPacket {
    /// Makes a stored packet ready.
    pub fn new(stored: &StoredPacket) -> Self {
        Self {
            received: stored.received,
            compiled: CompiledPacket::compile(&stored.packet),
        }
    }

    /// The packet as it is stored.
    pub fn stored(&self) -> StoredPacket {
        StoredPacket {
            received: self.received,
            packet: self.compiled.packet().clone(),
        }
    }
}

/// Tells how the node is.
pub trait Observer: Send + Sync + 'static {
    /// How the node is now.
    fn status(&self) -> NodeStatus;

    /// What every answer says of the replica that it was read from: without a lock or a system call.
    /// Asked *before* the read that it describes.
    fn read_state(&self) -> ReadState;

    /// A digest over all packets and the applied index they stand at. Reads everything.
    fn digest(&self) -> BoxFuture<'_, Result<StateDigest, ReadError>>;
}

/// What a read that follows is worth. By default, one from a node that holds nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReadState {
    /// Whether the node knows a leader, so that what it holds is not older than an election takes.
    pub has_leader: bool,
    /// What is read reflects this entry and all before it, and perhaps later ones.
    pub applied_index: LogIndex,
    /// By how much the time of the cluster was set back: [`IndexedPacket::received`] is ahead of it by so
    /// much, of what was received since.
    pub set_back: Duration,
}

/// A node's replica, as a front sees it that also writes and waits.
///
/// A change of a packet is one of its bytes: a refresh with identical ones is none.
pub trait Replica: Reader + Observer {
    /// Resolves when the local replica holds everything that was committed before the call
    /// (ReadIndex: Ongaro, *Consensus: Bridging Theory and Practice*, section 6.4), so that the next read is
    /// linearizable.
    fn linearize(&self) -> BoxFuture<'_, Result<(), LinearizeError>>;

    /// Stores a verified packet through the cluster, if `conditions` hold at its place in the log.
    /// Resolves when the outcome is known *and* this node has applied it, and in any case within the
    /// node's deadline for PUTs.
    ///
    /// Bytes that the local replica holds already are [`PutOutcome::Unchanged`] by its own word,
    /// even if a newer packet was stored elsewhere a moment ago: that is what makes a refresh cheap.
    fn put(
        &self,
        packet: SignedPacket,
        conditions: Conditions,
    ) -> BoxFuture<'_, Result<PutOutcome, PutError>>;

    /// Who may publish, and what was deleted, as far as this node has applied it.
    fn publishing(&self) -> Arc<PublishState>;

    /// Watches a key from now on, until the watch is dropped. To miss nothing, begin to watch, and
    /// read only then. What watches cost is bounded by whoever asks for them.
    fn watch(&self, key: &PublicKey) -> Watch;

    /// What has changed behind the entry `since`: whole entries, as many as have `count_max` changes
    /// together, and at least one if there is one.
    ///
    /// Who has read all packets after it asked for the index of the last entry applied, and follows
    /// [`Changes::next`] from there, knows of every change since. Entries have one index on all nodes,
    /// so that it may go on at another one.
    fn changes_since(&self, since: LogIndex, count_max: usize) -> Result<Changes, ChangesLost>;
}

/// Answers operators: any node does, by asking the leader.
pub trait Operator: Replica {
    /// Has the leader do what is asked, and gives its answer as JSON. Resolves when this node has
    /// applied it, and in any case within the time that is left. If no leader is known for longer than
    /// an election takes, the problem is [`NoLeader`](ProblemType::NoLeader); the members are
    /// then listed as this node knows them.
    fn operate(&self, asked: Asked) -> BoxFuture<'_, Result<serde_json::Value, Problem>>;

    /// Up to `count` packets of the local replica behind the key `after`, in the order of keys.
    fn packets_after(
        &self,
        after: Option<PublicKey>,
        count: usize,
    ) -> Result<Vec<StoredPacket>, ReadError>;
}

/// An item each time that the packet of the key may have changed, as soon as it can be read. Changes
/// that nobody has waited for are one item. It ends when the node does not watch any more, since it
/// stops or has not been opened yet.
pub type Watch = BoxStream<'static, ()>;

/// Why a PUT has no outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PutError {
    /// Surely not stored: no leader took it before the deadline.
    #[error("no leader could be reached before the deadline; the packet is not stored")]
    NoLeader,
    /// Surely not stored: too many PUTs are waiting already.
    #[error("too many PUTs are waiting; the packet is not stored")]
    Overloaded,
    /// Surely not stored: the node cannot take packets yet.
    #[error("the packet is not stored: {0}")]
    Starting(NotReady),
    /// Surely not stored: the node is stopping.
    #[error("the node is shutting down; the packet is not stored")]
    ShuttingDown,
    /// Surely not stored: the disk of this node has too little space.
    #[error("the disk of this node is nearly full, so it only reads; the packet is not stored")]
    DiskFull,
    /// Perhaps stored: repeating the same bytes is safe.
    #[error("the outcome is unknown; the packet may be stored, and repeating it is safe")]
    Unknown,
}

/// Why the local replica cannot be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// It has not caught up since it started.
    #[error("the replica cannot be read yet: {0}")]
    NotReady(NotReady),
    /// It is broken. What is said here is how.
    #[error("the replica cannot be read: {0}")]
    Failed(String),
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        Self::new(ProblemType::Unavailable, error.to_string())
    }
}

/// Why a read cannot be made linearizable now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no leader confirmed what is committed before the deadline")]
pub struct LinearizeError;

/// Why changes cannot be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("changes so old are not known here any more: list all packets, and go on from there")]
pub struct ChangesLost;
