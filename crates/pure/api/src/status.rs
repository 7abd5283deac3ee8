//! How a node is.

use std::fmt;

pub use quorate_clock::ClockState;
use quorate_state::{LogIndex, Term};
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};
use utoipa::ToSchema;

/// Where these are.
pub(crate) mod path {
    /// How the node is. GET.
    pub const STATUS: &str = "/v1/status";
    /// A digest over all that the node holds. GET.
    pub const DIGEST: &str = "/v1/digest";
    /// Figures for Prometheus, in its text format. GET.
    pub const METRICS: &str = "/metrics";
}

/// A node's part in the cluster (Raft paper, section 5.1).
#[derive(
    Debug,
    Default,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    VariantArray,
    IntoStaticStr,
    strum::Display,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Role {
    /// Orders commands.
    Leader,
    /// Follows a leader.
    Follower,
    /// Stands for election.
    Candidate,
    /// Receives the log without a vote.
    Learner,
    /// Not started yet, or stopped, by order or by an error.
    #[default]
    Stopped,
}

/// How a node is. Of the indexes, 0 stands for no entry. By default, that of a node which holds
/// nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Status)]
pub struct NodeStatus {
    /// The node's key.
    pub node: String,
    /// Its role: `leader`, `follower`, `candidate`, `learner` or `stopped`.
    #[schema(value_type = String)]
    pub role: Role,
    /// The current term.
    #[schema(value_type = u64)]
    pub term: Term,
    /// The leader's key, if one is known.
    #[schema(required)]
    pub leader: Option<String>,
    /// The last entry in the local log.
    #[schema(value_type = u64)]
    pub last_log_index: LogIndex,
    /// The last entry this node knows to be committed.
    #[schema(value_type = u64)]
    pub committed_index: LogIndex,
    /// The last entry applied to the local replica.
    #[schema(value_type = u64)]
    pub applied_index: LogIndex,
    /// The last entry that the durable checkpoint holds.
    #[schema(value_type = u64)]
    pub checkpoint_index: LogIndex,
    /// The last entry removed from the log.
    #[schema(value_type = u64)]
    pub purged_index: LogIndex,
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
    pub clock: NodeClock,
    /// Whether the disk is nearly full, so that the node only reads until there is space.
    pub disk_full: bool,
    /// Why the node is not ready to serve, if it is not: one word, such as `no_leader`.
    #[schema(required, value_type = Option<String>)]
    pub not_ready: Option<NotReady>,
}

/// What the clock of a node is worth among those of the voters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ClockStatus)]
pub struct NodeClock {
    /// What the time rests on that the node goes by: `agreed`, `disagrees`, `held` or `unknown`.
    #[schema(value_type = String)]
    pub state: ClockState,
    /// By how much its own clock is ahead of the time that a majority agrees on, in milliseconds, if
    /// that is known.
    #[schema(required)]
    pub offset_ms: Option<i64>,
    /// By how much the time in the log is ahead of what a majority agrees on, in milliseconds: it is set
    /// back once they have agreed on that for an eighth of the retention.
    pub log_ahead_ms: u64,
}

/// Why a node is not ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "snake_case")]
pub enum NotReady {
    /// It asks the members of a cluster to let it in.
    #[strum(
        to_string = "starting: asking to be let into the cluster; the log says what is answered"
    )]
    Asking,
    /// It reads its log and its store.
    #[strum(to_string = "starting: reading log and store")]
    Opening,
    /// Its stored packets are damaged or gone: it fetches those of another member.
    #[strum(
        to_string = "starting: the stored packets are damaged, fetching those of another member"
    )]
    Healing,
    /// It applies the log behind its last checkpoint.
    #[strum(to_string = "starting: applying the log behind the last checkpoint")]
    Replaying,
    /// It makes durable what it has applied, before it votes.
    #[strum(to_string = "starting: making durable what was applied")]
    Checkpointing,
    /// The cluster has fewer voters than it was founded for: it serves no packets yet.
    #[strum(
        to_string = "the cluster is being founded: it has {0}, and serves no packets until all are \
          there. If one of them is gone for good, nothing was acknowledged: found anew, by `quorate \
          init --found` in another, empty data directory"
    )]
    Forming(#[serde(skip)] VoterCount),
    /// Its log is empty. It is registered in its cluster and waits for the leader, which makes it a
    /// learner and sends it entries.
    #[strum(to_string = "starting: waiting for the leader of the cluster that it joins")]
    Pending,
    /// The cluster does not know it as a member any more.
    #[strum(
        to_string = "removed from the cluster, as a majority of its voters says: stop it; this machine \
          may join anew, with a token and another, empty data directory"
    )]
    Removed,
    /// It has not caught up yet with what was committed while it was away.
    #[strum(to_string = "starting: catching up with what the cluster has committed")]
    Recovering,
    /// It knows no leader, so it takes no PUTs; it still answers reads.
    #[strum(to_string = "no leader is known: PUTs wait, reads and DNS are served")]
    NoLeader,
    /// It is shutting down.
    #[strum(to_string = "shutting down")]
    ShuttingDown,
    /// It hit a fatal error and is about to exit.
    #[strum(to_string = "a fatal error stopped replication; the log says which")]
    Failed,
}

/// How many voters a cluster has of those that it was founded for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VoterCount {
    /// How many vote by now.
    pub voters: u32,
    /// How many shall; 0: not told.
    pub wanted: u32,
}

impl fmt::Display for VoterCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.wanted {
            0 => f.write_str("too few voters"),
            wanted => write!(f, "{} of {wanted} voters", self.voters),
        }
    }
}

/// A digest over all packets and what the cluster has agreed on, equal on all nodes at equal applied index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Digest)]
pub struct StateDigest {
    /// The last entry that the digested packets reflect.
    #[schema(value_type = u64)]
    pub applied_index: LogIndex,
    /// The number of packets.
    pub packet_count: u64,
    /// SHA-256 over what the cluster has agreed on and all packets in key order, in hexadecimal.
    pub sha256: String,
}
