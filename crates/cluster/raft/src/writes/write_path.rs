//! One attempt to get packets into the log: as the leader, or through the leader.

use std::sync::Arc;

use quorate_peer::{
    NodeId,
    message::{Proposed, Request, Response},
};
use quorate_state::{EncodedPackets, LogIndex, LogPosition, Outcome, PutBatch};
use quorate_store::Meta;
use tokio::sync::watch;

use crate::{
    RaftMetrics,
    adapters::{LastEntryTimes, Raft},
    clocks::gossip::PeerGossip,
    leadership::leader::{Leader, superseded},
    links::connection::CallError,
    links::peers::Peers,
    writes::{read_index::ReadIndexRequests, stages::AttemptTimes},
};

/// What is needed to get packets into the log and to wait until they are applied.
#[derive(Clone)]
pub(crate) struct WritePath {
    pub(crate) node: NodeId,
    pub(crate) raft: Raft,
    pub(crate) peers: Arc<Peers>,
    pub(crate) gossip: Arc<PeerGossip>,
    pub(crate) leader: watch::Receiver<Leader>,
    pub(crate) applied: watch::Receiver<Meta>,
    pub(crate) read_indexes: ReadIndexRequests,
    pub(crate) entry_times: LastEntryTimes,
    pub(crate) metrics: RaftMetrics,
}

impl WritePath {
    /// Proposes packets through `leader`, which must be known. Resolves when this node has applied
    /// them too, so that a client that reads here next sees them. Also resolves when they
    /// were certainly not appended, or when that cannot be known, at the latest when another node
    /// leads.
    pub(super) async fn propose(
        mut self,
        leader: &Leader,
        packets: EncodedPackets,
        times: &mut AttemptTimes,
    ) -> Proposed {
        let superseded = superseded(self.leader.clone(), leader);
        tokio::select! {
            biased;
            proposed = self.propose_through(leader, packets, times) => proposed,
            () = superseded => Proposed::Unknown,
        }
    }

    async fn propose_through(
        &mut self,
        leader: &Leader,
        packets: EncodedPackets,
        times: &mut AttemptTimes,
    ) -> Proposed {
        let Some((node, address)) = &leader.node else {
            return Proposed::Rejected;
        };
        if *node == self.node {
            return self.propose_as_leader(packets).await;
        }
        let request = Request::Propose(packets.encode());
        match self.peers.forward(*node, address, request).await {
            Ok(Response::Proposed(proposed)) => {
                times.forwarded = Some(std::time::Instant::now());
                if let Proposed::Applied { position, .. } = proposed {
                    self.apply_up_to(*node, position).await;
                }
                proposed
            }
            Err(CallError::NotSent(_)) => Proposed::Rejected,
            Ok(_) | Err(CallError::Lost(_)) => Proposed::Unknown,
        }
    }

    /// Proposes packets as the leader. Rejects them when a majority disagrees with the clock of
    /// this node: then another node should lead.
    async fn propose_as_leader(&self, packets: EncodedPackets) -> Proposed {
        let Some(stamp) = self.gossip.stamp() else {
            return Proposed::Rejected;
        };
        let command = PutBatch::encode(stamp.now, stamp.timestamp_max, &packets);
        match self.raft.propose(command).await {
            Proposed::Applied {
                position,
                outcomes: Outcome::Put { outcomes, .. },
            } => Proposed::Applied { position, outcomes },
            Proposed::Rejected => Proposed::Rejected,
            Proposed::Applied { .. } | Proposed::Unknown => Proposed::Unknown,
        }
    }

    /// Waits until this node has applied what `leader` says that it has committed. The answer to a
    /// forward is the first to say so: the leader holds its messages about commits back for a moment.
    async fn apply_up_to(&mut self, leader: NodeId, position: LogPosition) {
        let raft = self.raft.clone();
        let learn = async {
            raft.learn_committed(leader, position).await;
            std::future::pending().await
        };
        tokio::select! {
            () = self.wait_until_applied(position.index) => {}
            () = learn => {}
        }
    }

    pub(crate) async fn wait_until_applied(&mut self, index: LogIndex) {
        let applied = self.applied.wait_for(|meta| meta.applied_index() >= index);
        if applied.await.is_err() {
            // The node is shutting down, and the caller with it.
            std::future::pending().await
        }
    }
}
