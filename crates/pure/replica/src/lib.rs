//! The traits between servers and consensus: reading, writing, status.
//! Servers (HTTP, DNS, admin) use these and depend on neither Raft nor log nor store; consensus does not
//! depend on servers. This crate contains only values and traits.
//!
//! | piece | what it is | who uses it |
//! |---|---|---|
//! | [`Reader`] | the packets and replicated zones in the local replica | relay, DNS |
//! | [`IndexedPacket`] | a packet, compiled for answers | relay, DNS |
//! | [`Observer`] | the status of the node | relay, admin |
//! | [`Replica`] | these two; stores packets, makes the next read linearizable, reports changes | relay, admin |
//! | [`Operator`] | all of that, and operators' requests | admin |
//! | [`SecretStore`] | all of that, and the replicated secrets | ACME |
//! | [`DhtBridge`] | the Mainline DHT: packets that the cluster does not store, and the publication of those that it does | relay, DNS |
//! | [`DhtOperator`] | that, its state, and operators' requests | admin |
//! | [`CertificateOperator`] | the certificate of the cluster | admin |

#![warn(missing_docs)]

mod secret_store;

use std::{net::IpAddr, sync::Arc, time::Duration};

use futures_util::{future::BoxFuture, stream::BoxStream};
pub use quorate_api::{
    BackupStatus, CertificateStatus, ChangeKind, ChangedPacket, Changes, ClockState, DhtPublished,
    DhtStatus, NodeClock, NodeStatus, NotReady, Role, StateDigest, VoterCount,
};
use quorate_api::{ForwardedRequest, Problem, ProblemType};
use quorate_packet::{PublicKey, SignedPacket};
pub use quorate_state::{
    ClusterId, Condition, Conditions, CookieSecret, CookieSecrets, Deletion, LogIndex, NamedSet,
    NodeId, PublishChange, PublishMode, PublishState, PutOutcome, RecordSet, Renewal,
    ReplicatedZone, SecretKind, SettingsChange, StoredPacket, TIMESTAMP_AHEAD_MAX, Term, TokenHash,
    TooManyVersions, UnixMillis, Version, WireName, ZoneChange, ZoneRejection, ZoneState,
    check_beside, check_owner, check_together,
};
use quorate_zone::CompiledPacket;

pub use secret_store::{OpenSecret, SecretError, SecretStore};

/// Reads what the local replica holds.
pub trait Reader: Send + Sync + 'static {
    /// The packet of `key` in the local replica, compiled for answers. It may be older than the leader's.
    fn packet(&self, key: &PublicKey) -> Result<Option<Arc<IndexedPacket>>, ReadError>;

    /// The stored packet of `key`, with the time of its receipt.
    fn stored_packet(&self, key: &PublicKey) -> Result<Option<StoredPacket>, ReadError> {
        let indexed = self.packet(key)?;
        Ok(indexed.map(|indexed| indexed.stored()))
    }

    /// Fails until the node has caught up after its start. Only then may a missing packet be answered as
    /// absent.
    fn check_ready(&self) -> Result<(), ReadError>;

    /// A number that grows whenever [`zone_state`](Self::zone_state) or
    /// [`cookie_secrets`](Self::cookie_secrets) changes; 0 while the node has none.
    fn zone_version(&self) -> u64;

    /// Resolves when [`zone_version`](Self::zone_version) is larger than `version`. The zone state is then
    /// at least as new.
    fn zones_changed_after(&self, version: u64) -> BoxFuture<'_, ()>;

    /// The replicated zones.
    fn zone_state(&self) -> Arc<ZoneState>;

    /// The secrets of DNS cookies. `None` until this node can open them.
    fn cookie_secrets(&self) -> Option<CookieSecrets>;

    /// Tells the cluster that this node serves the zones of this [`zone_version`](Self::zone_version).
    fn set_zones_served(&self, version: u64);
}

/// A packet, compiled for answers when it was applied.
#[derive(Debug, Clone)]
pub struct IndexedPacket {
    /// When the cluster last received it: a stamp, see [`ReadState::set_back`].
    pub received: UnixMillis,
    /// The packet, compiled for answers.
    pub compiled: CompiledPacket,
}

impl IndexedPacket {
    /// Compiles a stored packet.
    pub fn new(stored: &StoredPacket) -> Self {
        Self {
            received: stored.received,
            compiled: CompiledPacket::compile(&stored.packet),
        }
    }

    /// The stored packet.
    pub fn stored(&self) -> StoredPacket {
        StoredPacket {
            received: self.received,
            packet: self.compiled.packet().clone(),
        }
    }
}

/// Reports the status of the node.
pub trait Observer: Send + Sync + 'static {
    /// The present status of the node.
    fn status(&self) -> NodeStatus;

    /// What answers report about the replica that they were read from. Takes no lock and makes no system
    /// call. To be called *before* the read that it describes.
    fn read_state(&self) -> ReadState;

    /// A digest over all packets, with the applied index. Reads everything.
    fn digest(&self) -> BoxFuture<'_, Result<StateDigest, ReadError>>;
}

/// How current the next read is. The default is that of an empty node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReadState {
    /// Whether the node knows a leader. Then its data is not older than the time of an election.
    pub has_leader: bool,
    /// The read reflects the entries up to this one, and perhaps later ones.
    pub applied_index: LogIndex,
    /// How far the cluster time was set back. [`IndexedPacket::received`] of packets received since is ahead
    /// of it by this much.
    pub set_back: Duration,
}

/// A node's replica, for servers that also write and wait.
///
/// A change of a packet is a change of its bytes: a refresh with identical bytes is not a change.
pub trait Replica: Reader + Observer {
    /// Resolves when the local replica holds everything that was committed before the call
    /// (ReadIndex: Ongaro, *Consensus: Bridging Theory and Practice*, section 6.4), so that the next read is
    /// linearizable.
    fn linearize(&self) -> BoxFuture<'_, Result<(), LinearizeError>>;

    /// The outcome of a PUT of a verified packet, if this node knows it without the cluster: its key may not
    /// publish, a newer packet is stored, or the same bytes are and were received lately. It costs others
    /// nothing. `None` if only [`put`](Self::put) can tell, which otherwise returns the same.
    fn known_outcome(&self, packet: &SignedPacket, conditions: &Conditions) -> Option<PutOutcome>;

    /// Stores a verified packet through the cluster, if `conditions` hold at its position in the log.
    /// Resolves when the outcome is known *and* this node has applied it, and always within the node's
    /// deadline for PUTs.
    /// For bytes that the local replica already holds, this node alone answers [`PutOutcome::Unchanged`],
    /// even if another node stored a newer packet within the last second: that makes a refresh cheap.
    fn put(
        &self,
        packet: SignedPacket,
        conditions: Conditions,
    ) -> BoxFuture<'_, Result<PutOutcome, PutError>>;

    /// The publish policy and the deletions that this node has applied.
    fn publishing(&self) -> Arc<PublishState>;

    /// The live members that publish in the DHT, as the leader last reported; none while no leader is known.
    fn publishers(&self) -> Publishers;

    /// Tells the cluster whether this node can publish in the DHT now.
    fn set_publishes(&self, publishes: bool);

    /// Watches a key until the watch is dropped. To miss nothing, read only after this call. The caller
    /// bounds the number of watches.
    fn watch(&self, key: &PublicKey) -> Watch;

    /// The changes after the entry `since`: complete entries with up to `count_max` changes in total, and at
    /// least one entry if there is one.
    ///
    /// A client that first asks for the last applied index, then reads all packets, and then follows
    /// [`Changes::next`], misses no change. Entries have the same index on all nodes, so it may continue at
    /// another node.
    fn changes_since(&self, since: LogIndex, count_max: usize) -> Result<Changes, ChangesLost>;
}

/// Answers operators. Any node does, by asking the leader.
pub trait Operator: Replica {
    /// Sends a request to the leader, and returns its answer as JSON. Resolves when this node has applied
    /// the change, and always within the remaining time. If no leader is known for longer than an election
    /// takes, the problem is [`NoLeader`](ProblemType::NoLeader); a member list is then the view of this
    /// node.
    fn operate(
        &self,
        request: ForwardedRequest,
    ) -> BoxFuture<'_, Result<serde_json::Value, Problem>>;

    /// Up to `count` packets of the local replica after the key `after`, ordered by key.
    fn packets_after(
        &self,
        after: Option<PublicKey>,
        count: usize,
    ) -> Result<Vec<StoredPacket>, ReadError>;
}

/// Finds packets in the Mainline DHT (BEP 44), and publishes there, if the operator wants that.
pub trait DhtBridge: Send + Sync + 'static {
    /// The newest packet of `key` that the DHT returns within `deadline`, for the client at this address,
    /// whose limits apply. Without a lookup if the answer is known from an earlier one.
    fn lookup<'a>(
        &'a self,
        key: &'a PublicKey,
        client: IpAddr,
        deadline: Duration,
    ) -> BoxFuture<'a, DhtAnswer>;

    /// What is known of `key` from a lookup that has ended. `None` if only [`lookup`](Self::lookup) can tell.
    /// Takes a short lock.
    fn known(&self, key: &PublicKey) -> Option<DhtAnswer>;

    /// The same, or what the running lookup has found so far.
    fn known_so_far(&self, key: &PublicKey) -> Option<DhtAnswer>;

    /// Publishes the stored packet of `key` soon, if this node publishes at all. Never waits.
    fn publish(&self, key: &PublicKey);
}

/// The bridge to the Mainline DHT for operators.
pub trait DhtOperator: DhtBridge {
    /// Its state.
    fn status(&self) -> DhtStatus;

    /// Looks `key` up now, whatever is stored, known or permitted.
    fn find<'a>(&'a self, key: &'a PublicKey) -> BoxFuture<'a, Result<DhtFinding, Problem>>;

    /// Publishes the stored packet of `key` now.
    fn publish_now<'a>(
        &'a self,
        key: &'a PublicKey,
    ) -> BoxFuture<'a, Result<DhtPublished, Problem>>;
}

/// The certificate of the cluster, for operators.
pub trait CertificateOperator: Send + Sync + 'static {
    /// The stored certificate, and the state of its renewal.
    fn status(&self) -> CertificateStatus;
}

/// The result of an operator's lookup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DhtFinding {
    /// The newest valid packet.
    pub packet: StoredPacket,
    /// Nodes of the DHT that were asked.
    pub nodes_asked: u32,
    /// Nodes of the DHT that answered.
    pub nodes_answered: u32,
}

/// Who publishes in the DHT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publishers {
    /// This node.
    pub own: NodeId,
    /// The live members that publish, perhaps this one too.
    pub live: Vec<NodeId>,
}

/// What the DHT answered.
#[derive(Debug, Clone)]
pub enum DhtAnswer {
    /// This packet, which the cluster would accept.
    Found(Arc<IndexedPacket>),
    /// The DHT has no packet of the key that the cluster would accept.
    Absent,
    /// Too few nodes of the DHT have answered. It may have a packet.
    Unanswered,
    /// Nothing was asked: too many lookups run, or the DHT cannot be reached.
    Refused,
}

/// An item whenever the packet of the key may have changed and can be read. Several changes between two
/// polls are one item. It ends when the node stops, or if it is not open yet.
pub type Watch = BoxStream<'static, ()>;

/// Why a PUT has no outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PutError {
    /// Not stored: no leader accepted it before the deadline.
    #[error("no leader could be reached before the deadline; the packet is not stored")]
    NoLeader,
    /// Not stored: too many PUTs are waiting.
    #[error("too many PUTs are waiting; the packet is not stored")]
    Overloaded,
    /// Not stored: the node cannot accept packets yet.
    #[error("the packet is not stored: {0}")]
    Starting(NotReady),
    /// Not stored: the node is stopping.
    #[error("the node is shutting down; the packet is not stored")]
    ShuttingDown,
    /// Not stored: the disk of this node has too little space.
    #[error("the disk of this node is nearly full, so it only reads; the packet is not stored")]
    DiskFull,
    /// Perhaps stored: a retry with the same bytes is safe.
    #[error("the outcome is unknown: the packet may be stored; a retry is safe")]
    Unknown,
}

/// Why the local replica cannot be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// It has not caught up after its start.
    #[error("the replica cannot be read yet: {0}")]
    NotReady(NotReady),
    /// It is broken, for this reason.
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

/// Why changes cannot be returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("changes this old are no longer kept: list all packets, and continue from there")]
pub struct ChangesLost;
