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
    /// What an operator may set.
    pub settings: Settings,
}

impl Config {
    /// `node` among `voters` with data in `dir`, all else by default.
    pub fn new(node: NodeId, voters: BTreeMap<NodeId, String>, dir: PathBuf) -> Self {
        Self {
            node,
            voters,
            has_joined: false,
            dir,
            settings: Settings::default(),
        }
    }

    pub(crate) fn put_deadline(&self) -> Duration {
        Duration::from_millis(self.settings.put.deadline_ms)
    }

    pub(crate) fn retention(&self) -> Duration {
        Duration::from_secs(self.settings.packets.retention_secs)
    }

    pub(crate) fn checkpoint_interval(&self) -> Duration {
        Duration::from_secs(self.settings.store.checkpoint_interval_secs)
    }

    pub(crate) fn heartbeat(&self) -> Duration {
        Duration::from_millis(self.settings.raft.heartbeat_ms)
    }

    pub(crate) fn election_timeout_min(&self) -> Duration {
        Duration::from_millis(self.settings.raft.election_timeout_min_ms)
    }

    pub(crate) fn election_timeout_max(&self) -> Duration {
        Duration::from_millis(self.settings.raft.election_timeout_max_ms)
    }
}
