//! What all jobs of an open node work with.

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
    start::recovery::Recovery,
};

/// The parts of a node whose files are open and whose consensus runs.
pub(crate) struct Parts {
    pub(crate) config: RaftConfig,
    pub(crate) metrics: NodeMetrics,
    pub(crate) gossip: Arc<PeerGossip>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) log: Arc<Log>,
    pub(crate) store: Arc<Store>,
    pub(crate) state_machine: StateMachine,
    pub(crate) raft: Raft,
    pub(crate) recovery: Recovery,
    /// Its log had entries when it started, or it founds the cluster: it has forgotten nothing that it
    /// has voted for or acknowledged.
    pub(crate) remembers: bool,
    pub(crate) leader: watch::Receiver<Leader>,
    /// Whether a leader is known, for those who ask at every read.
    pub(crate) has_leader: Arc<AtomicBool>,
    pub(crate) failure: watch::Sender<Option<FatalError>>,
    /// The cluster does not know this node as a member any more.
    pub(crate) is_removed: AtomicBool,
}

impl Parts {
    /// Whether it may vote and stand for election: it has forgotten nothing, or has caught up since
    /// with a leader that was elected without it.
    pub(crate) fn may_vote(&self) -> bool {
        self.remembers || self.recovery.is_complete()
    }

    pub(crate) fn is_removed(&self) -> bool {
        self.is_removed.load(Ordering::Acquire)
    }

    /// Waits until this leader has applied what was committed before now. `None` if it does not lead.
    pub(crate) async fn catch_up(&self) -> Option<()> {
        let index = self.raft.read_index().await?;
        let mut applied = self.state_machine.applied();
        let applied = applied.wait_for(|meta| meta.applied_index() >= index).await;
        applied.ok().map(drop)
    }
}
