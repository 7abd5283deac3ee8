//! What this node answers to its peers.

use std::sync::Arc;

use futures_util::{StreamExt, stream::BoxStream};
use quorate_rpc::{
    Lane, NodeId, Service,
    message::{Request, Response},
};
use quorate_store::Store;

use crate::{
    adapters::{Raft, StateMachine},
    pipelined_link::PIPELINE_MAX,
    proposer::propose_forwarded,
    pull::offer_packets,
};

/// Answers peers.
pub(crate) struct PeerService {
    pub(crate) raft: Raft,
    pub(crate) state_machine: StateMachine,
    pub(crate) store: Arc<Store>,
}

impl Service for PeerService {
    fn serve(
        self: Arc<Self>,
        peer: NodeId,
        lane: Lane,
        requests: BoxStream<'static, Request>,
    ) -> BoxStream<'static, Response> {
        match lane {
            Lane::Append | Lane::Control | Lane::Forward => {}
            Lane::Snapshot => {
                let store = self.store.clone();
                return self.raft.receive_snapshots(store, peer, requests);
            }
            Lane::Pull => return offer_packets(self.state_machine.clone(), peer, requests),
        }
        // Polled first in order, so that requests reach Raft in order, and answered in order. Not
        // so under tokio's budget: a task that has used it up suspends its futures anywhere, and
        // wakes them last first. Raft takes entries out of order for a follower that forgot some.
        requests
            .map(move |request| {
                let service = self.clone();
                tokio::task::unconstrained(async move { service.answer(request).await })
            })
            .buffered(PIPELINE_MAX)
            .boxed()
    }
}

impl PeerService {
    async fn answer(&self, request: Request) -> Response {
        match request {
            Request::Propose(batch) => {
                Response::Proposed(propose_forwarded(&self.raft, batch).await)
            }
            Request::ReadIndex => Response::ReadIndex(self.raft.read_index().await),
            of_raft => self.raft.answer(of_raft).await,
        }
    }
}
