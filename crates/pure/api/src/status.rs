//! The state of a node.

use std::fmt;

pub use quorate_clock::ClockState;
use quorate_state::{LogIndex, Term};
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};
use utoipa::ToSchema;

/// The paths of these requests.
pub(crate) mod path {
    /// The state of the node. GET.
    pub const STATUS: &str = "/v1/status";
    /// A digest of everything that the node stores. GET.
    pub const DIGEST: &str = "/v1/digest";
    /// A backup of everything that the node stores. POST.
    pub const BACKUP: &str = "/v1/backup";
    /// Metrics in the text format of Prometheus. GET.
    pub const METRICS: &str = "/metrics";
}

/// The last scheduled backups of the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BackupStatus {
    /// When the last one was saved and verified, in milliseconds since 1970.
    #[schema(required)]
    pub saved_ms: Option<u64>,
    /// Its name.
    pub name: String,
    /// Its size, in bytes.
    pub size: u64,
    /// How many packets it has.
    pub packet_count: u64,
    /// From its start to its verification, in milliseconds.
    pub duration_ms: u64,
    /// When one failed last, in milliseconds since 1970.
    #[schema(required)]
    pub failed_ms: Option<u64>,
    /// Why.
    pub error: String,
    /// How many have failed since the last one was saved.
    pub failure_count: u32,
}

/// The name of a cluster, for people and in the names of files: the first 16 digits of its id.
pub fn cluster_name(id: &str) -> &str {
    id.get(..16).unwrap_or(id)
}

/// The media type of a backup.
pub const BACKUP_CONTENT_TYPE: &str = "application/vnd.quorate.backup";

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
    /// Appends commands to the log and replicates them.
    Leader,
    /// Follows a leader.
    Follower,
    /// Asks for votes to become the leader.
    Candidate,
    /// Receives the log without a vote.
    Learner,
    /// Not started yet, or stopped by an operator or by an error.
    #[default]
    Stopped,
}

/// The state of a node. An index of 0 means no entry. The default is the state of an empty node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Status)]
pub struct NodeStatus {
    /// The node's key.
    pub node: String,
    /// The id of its cluster, in hex, if it has one. A cluster that was restored from a backup or recovered has
    /// another id than before.
    #[serde(default)]
    #[schema(required)]
    pub cluster: Option<String>,
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
    /// The last entry that this node knows to be committed.
    #[schema(value_type = u64)]
    pub committed_index: LogIndex,
    /// The last entry applied to the local replica.
    #[schema(value_type = u64)]
    pub applied_index: LogIndex,
    /// The last entry in the durable checkpoint.
    #[schema(value_type = u64)]
    pub checkpoint_index: LogIndex,
    /// The last entry removed from the log.
    #[schema(value_type = u64)]
    pub purged_index: LogIndex,
    /// Only on the leader: how many entries of its log the voter that is furthest behind lacks.
    #[schema(required)]
    pub replication_lag: Option<u64>,
    /// The keys of the voters.
    pub voters: Vec<String>,
    /// The number of packets.
    pub packet_count: u64,
    /// Their size in bytes, with their keys.
    pub packets_size: u64,
    /// The feature level of commands that the cluster has agreed on.
    pub feature_level: u16,
    /// The most packets that the cluster stores, if it has agreed on that.
    #[schema(required)]
    pub packet_count_max: Option<u64>,
    /// The most bytes of all packets together, if the cluster has agreed on that.
    #[schema(required)]
    pub packets_size_max: Option<u64>,
    /// The scheduled backups of the cluster, if any was tried.
    #[serde(default)]
    #[schema(required)]
    pub backup: Option<BackupStatus>,
    /// How long the cluster keeps a packet after it was last received, in seconds, if it has agreed
    /// on that.
    #[serde(default)]
    #[schema(required)]
    pub retention_secs: Option<u64>,
    /// The size of the store's file, in bytes.
    pub store_size: u64,
    /// Whether its clock agrees with those of the voters.
    pub clock: NodeClock,
    /// Whether the disk is nearly full. Until there is space, the node only serves reads.
    pub disk_full: bool,
    /// Why the node is not ready to serve, if so: one word, such as `no_leader`.
    #[schema(required, value_type = Option<String>)]
    pub not_ready: Option<NotReady>,
}

/// Whether the clock of a node agrees with those of the voters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ClockStatus)]
pub struct NodeClock {
    /// What the time that the node uses is based on: `agreed`, `disagrees`, `held` or `unknown`.
    #[schema(value_type = String)]
    pub state: ClockState,
    /// How far its own clock is ahead of the time that a majority agrees on, in milliseconds, if
    /// that is known.
    #[schema(required)]
    pub offset_ms: Option<i64>,
    /// How far the time in the log is ahead of the time that a majority agrees on, in milliseconds.
    /// The log's time is set back once they have agreed for an eighth of the retention.
    pub log_ahead_ms: u64,
}

/// Why a node is not ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "snake_case")]
pub enum NotReady {
    /// It asks the members of a cluster to register it.
    #[strum(
        to_string = "starting: asking the cluster to accept this node; the log has the answers"
    )]
    Asking,
    /// It reads its log and its store.
    #[strum(to_string = "starting: reading the log and the store")]
    Opening,
    /// Its stored packets are damaged or lost: it fetches those of another member.
    #[strum(
        to_string = "starting: the stored packets are damaged; fetching those of another member"
    )]
    Healing,
    /// It applies the log entries after its last checkpoint.
    #[strum(to_string = "starting: applying the log after the last checkpoint")]
    Replaying,
    /// It writes a checkpoint of what it has applied, before it votes.
    #[strum(to_string = "starting: writing a checkpoint of the applied entries")]
    Checkpointing,
    /// The cluster has fewer voters than it was founded for: it serves no packets yet.
    #[strum(
        to_string = "the cluster is being founded: it has {0}, and serves no packets until all have \
          joined. If one of them is lost for good, run `quorate init --found` again with a new, empty \
          data directory: no packet was acknowledged yet"
    )]
    Forming(#[serde(skip)] VoterCount),
    /// The cluster was restored or recovered and has fewer voters than it was made for: it answers reads, and
    /// takes no packets yet.
    #[strum(
        to_string = "the cluster was restored or recovered: it has {0}; until all have joined it answers reads \
          and takes no packets. Add nodes with `quorate member add`"
    )]
    Restored(#[serde(skip)] VoterCount),
    /// Its log is empty. It is registered in its cluster, and waits until the leader makes it a
    /// learner and sends it entries.
    #[strum(to_string = "starting: waiting for the leader of the cluster that it joins")]
    Pending,
    /// It is no longer a member of the cluster.
    #[strum(
        to_string = "removed from the cluster, as a majority of its voters reports: stop this node. \
          To join again, start it with a new token and a new, empty data directory"
    )]
    Removed,
    /// It has not received yet what was committed while it was away.
    #[strum(to_string = "starting: catching up with the entries that the cluster has committed")]
    Recovering,
    /// It knows no leader, so it accepts no PUTs; it still answers reads.
    #[strum(to_string = "no leader is known: PUTs wait, reads and DNS are served")]
    NoLeader,
    /// It is shutting down.
    #[strum(to_string = "shutting down")]
    ShuttingDown,
    /// It hit a fatal error and is about to exit.
    #[strum(to_string = "a fatal error stopped replication: see the log of the node")]
    Failed,
}

/// How many of the voters that a cluster is founded for have joined.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VoterCount {
    /// The number of voters now.
    pub voters: u32,
    /// The number that it is founded for; 0 if that is not known.
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

/// A digest of all packets and all agreed settings. It is equal on all nodes with the same applied
/// index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Digest)]
pub struct StateDigest {
    /// The last entry that is applied to the digested packets.
    #[schema(value_type = u64)]
    pub applied_index: LogIndex,
    /// The number of packets.
    pub packet_count: u64,
    /// SHA-256 of all agreed settings and all packets in key order, in hexadecimal.
    pub sha256: String,
}
