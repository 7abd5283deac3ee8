//! What a backup contains, and where it is from.

use quorate_state::LogPosition;
use serde::{Deserialize, Serialize};

/// What a backup contains, and where it is from. Fields of newer programs are ignored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupHeader {
    /// The version of the program that wrote it.
    pub program: String,
    /// The id of the cluster, in hex.
    pub cluster: String,
    /// The node that wrote it.
    pub node: String,
    /// The last entry that it reflects.
    pub applied: Option<LogPosition>,
    /// The cluster time of that entry, in milliseconds since 1970.
    pub cluster_time_ms: Option<u64>,
    /// Whether the node knew a leader.
    pub has_leader: bool,
    /// For how long the node may have missed what the cluster committed, in milliseconds; `None` if unknown.
    pub staleness_ms: Option<u64>,
    pub packet_count: u64,
    /// The sum of the sizes of all packets, in bytes.
    pub packets_size: u64,
    /// The hash of all packets in the store that it is from, in hex; empty if the backup was salvaged.
    pub packets_hash: String,
    /// The members of the cluster, for information.
    pub members: Vec<BackupMember>,
}

/// A member of the cluster that was backed up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupMember {
    pub node: String,
    /// Its name, or empty.
    pub name: String,
    pub address: String,
    pub is_voter: bool,
}
