//! What a node is told.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use quorate_rpc::NodeId;

use crate::Settings;

/// What a node is told.
#[derive(Debug, Clone)]
pub struct Config {
    /// This node.
    pub node: NodeId,
    /// The founding voters and their addresses, this node among them. Only a node whose log is
    /// empty reads it; later the log says who the members are.
    pub voters: BTreeMap<NodeId, String>,
    /// Whether this node has been part of the cluster before. Then its log must not be empty.
    pub has_joined: bool,
    /// The directory of log and store.
    pub dir: PathBuf,
    /// Memory for the store's pages, in bytes.
    pub store_cache_size: usize,
    /// How long a PUT may take.
    pub put_deadline: Duration,
    /// How long a packet stays after the cluster last received its packet.
    pub retention: Duration,
    /// The longest time between checkpoints while there is something to make durable.
    pub checkpoint_interval: Duration,
    /// The size of the log since the last checkpoint that makes one due, in bytes.
    pub checkpoint_log_size: u64,
    /// The most entries that stay in the log although a checkpoint holds them, so that a follower
    /// that was away for minutes catches up from the log instead of a snapshot.
    pub log_kept_count_max: u64,
    /// The size of the log beyond which fewer stay, in bytes. What no checkpoint holds always stays.
    pub log_kept_size_max: u64,
    /// How often a leader says that it lives.
    pub heartbeat: Duration,
    /// The shortest time without a leader before a node stands for election.
    pub election_timeout_min: Duration,
    /// The longest time without a leader before a node stands for election.
    pub election_timeout_max: Duration,
}

impl Config {
    /// Settings for `node` among `voters` with data in `dir`, all else by default.
    pub fn new(node: NodeId, voters: BTreeMap<NodeId, String>, dir: PathBuf) -> Self {
        Self::with_settings(node, voters, dir, &Settings::default())
    }

    /// What `settings` say, for `node` among `voters` with data in `dir`.
    pub fn with_settings(
        node: NodeId,
        voters: BTreeMap<NodeId, String>,
        dir: PathBuf,
        settings: &Settings,
    ) -> Self {
        let Settings {
            packets,
            put,
            raft,
            store,
            log,
        } = settings;
        Self {
            node,
            voters,
            has_joined: false,
            dir,
            store_cache_size: usize::try_from(store.cache_size).unwrap_or(usize::MAX),
            put_deadline: Duration::from_millis(put.deadline_ms),
            retention: Duration::from_secs(packets.retention_secs),
            checkpoint_interval: Duration::from_secs(store.checkpoint_interval_secs),
            checkpoint_log_size: store.checkpoint_log_size,
            log_kept_count_max: log.kept_count_max,
            log_kept_size_max: log.kept_size_max,
            heartbeat: Duration::from_millis(raft.heartbeat_ms),
            election_timeout_min: Duration::from_millis(raft.election_timeout_min_ms),
            election_timeout_max: Duration::from_millis(raft.election_timeout_max_ms),
        }
    }
}
