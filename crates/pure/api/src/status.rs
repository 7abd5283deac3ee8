//! How a node is.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How a node is. Of the indexes, 0 stands for no entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// The node's key.
    pub node: String,
    /// Its role: `leader`, `follower`, `candidate`, `learner` or `stopped`.
    pub role: String,
    /// The current term.
    pub term: u64,
    /// The leader's key, if one is known.
    #[schema(required)]
    pub leader: Option<String>,
    /// The last entry in the local log.
    pub last_log_index: u64,
    /// The last entry this node knows to be committed.
    pub committed_index: u64,
    /// The last entry applied to the local replica.
    pub applied_index: u64,
    /// The last entry that the durable checkpoint holds.
    pub checkpoint_index: u64,
    /// The last entry removed from the log.
    pub purged_index: u64,
    /// At the leader: how many entries the voter that is furthest behind lacks of its log.
    #[schema(required)]
    pub replication_lag: Option<u64>,
    /// The keys of the voters.
    pub voters: Vec<String>,
    /// The number of packets.
    pub packet_count: u64,
    /// Their size in bytes: keys and what is stored of each.
    pub packets_size: u64,
    /// The feature level of commands that the cluster has agreed on.
    pub feature_level: u16,
    /// How many packets the cluster has agreed to store, if it has.
    #[schema(required)]
    pub packet_count_max: Option<u64>,
    /// How large all of them may be, in bytes, if that is agreed on.
    #[schema(required)]
    pub packets_size_max: Option<u64>,
    /// The size of the store's file, in bytes.
    pub store_size: u64,
    /// What its clock is worth.
    pub clock: ClockStatus,
    /// Whether the disk is nearly full, so that the node only reads until there is space.
    pub disk_full: bool,
    /// Why the node is not ready to serve, if it is not: one word, such as `no_leader`.
    #[schema(required)]
    pub not_ready: Option<String>,
}

/// What the clock of a node is worth among those of the voters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClockStatus {
    /// What the time rests on that the node goes by: `agreed`, `disagrees`, `held` or `unknown`.
    pub state: String,
    /// By how much its own clock is ahead of the time that a majority agrees on, in milliseconds,
    /// if that is known.
    #[schema(required)]
    pub offset_ms: Option<i64>,
}

/// A digest over all packets and what the cluster has agreed on, equal on all nodes at equal applied
/// index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Digest {
    /// The last entry that the digested packets reflect.
    pub applied_index: u64,
    /// The number of packets.
    pub packet_count: u64,
    /// SHA-256 over what the cluster has agreed on and all packets in key order, in hexadecimal.
    pub sha256: String,
}
