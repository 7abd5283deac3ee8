//! What all tasks of an open node share.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use quorate_log::Log;
use quorate_store::Store;
use tokio::sync::watch;

use crate::{
    FatalError, NodeMetrics, RaftConfig,
    adapters::{Raft, StateMachine},
    clocks::gossip::PeerGossip,
    leadership::leader::Leader,
    links::peers::Peers,
    secrets::cluster_keys::ClusterKeys,
    start::recovery::Recovery,
};

/// What all tasks of a node share once its files are open and its consensus runs.
pub(crate) struct NodeContext {
    pub(crate) config: RaftConfig,
    pub(crate) metrics: NodeMetrics,
    pub(crate) gossip: Arc<PeerGossip>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) cluster_keys: ClusterKeys,
    pub(crate) log: Arc<Log>,
    pub(crate) store: Arc<Store>,
    pub(crate) state_machine: StateMachine,
    pub(crate) raft: Raft,
    pub(crate) recovery: Recovery,
    /// Whether its log had entries when it started, or it founds the cluster. Then it still knows
    /// all its votes and acknowledgements.
    pub(crate) has_intact_log: bool,
    pub(crate) leader: watch::Receiver<Leader>,
    /// Whether a leader is known. Every read checks it, so it needs no lock.
    pub(crate) has_leader: Arc<AtomicBool>,
    pub(crate) failure: watch::Sender<Option<FatalError>>,
    /// Whether this node was removed from the cluster.
    pub(crate) is_removed: AtomicBool,
}

impl NodeContext {
    /// Whether this node may vote and be a candidate: its log is intact, or it has since caught up
    /// with a leader that was elected without it.
    pub(crate) fn may_vote(&self) -> bool {
        self.has_intact_log || self.recovery.is_complete()
    }

    pub(crate) fn is_removed(&self) -> bool {
        self.is_removed.load(Ordering::Acquire)
    }

    /// Waits until this leader has applied what was committed before the call. `None` if it does
    /// not lead.
    pub(crate) async fn catch_up(&self) -> Option<()> {
        let index = self.raft.read_index().await?;
        let mut applied = self.state_machine.applied();
        let applied = applied.wait_for(|meta| meta.applied_index() >= index).await;
        applied.ok().map(drop)
    }
}
