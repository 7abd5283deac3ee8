//! What this node answers to its peers.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, stream::BoxStream};
use quorate_rpc::{
    Lane, NodeId, Service,
    message::{Proposed, Request, Response},
};
use quorate_state::EncodedPackets;
use quorate_store::Store;

use crate::{
    adapters::{Raft, StateMachine},
    pipelined_link::PIPELINE_MAX,
    pull::offer_packets,
    puts::Puts,
};

/// Answers peers.
pub(crate) struct PeerService {
    pub(crate) puts: Arc<Puts>,
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
            Request::Propose(packets) => Response::Proposed(self.propose(packets).await),
            Request::ReadIndex => Response::ReadIndex(self.raft.read_index().await),
            of_raft => self.raft.answer(of_raft).await,
        }
    }

    async fn propose(&self, packets: Bytes) -> Proposed {
        match EncodedPackets::parse(packets) {
            Ok(packets) => self.puts.propose(packets).await,
            Err(error) => {
                tracing::error!(%error, "refused forwarded packets that cannot be read");
                Proposed::Refused
            }
        }
    }
}
