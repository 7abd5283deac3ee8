//! What this node answers to its peers.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{
    StreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use quorate_peer::{
    Frame, Introduction, JoinAnswer, JoinRequest, Lane, LinkError, NodeId, Service,
    message::{Proposed, Request, Response},
};
use quorate_state::EncodedPackets;

use crate::{
    links::Numbered, links::connection::PIPELINE_MAX, links::presence::Direction,
    membership::leader_client::LeaderClient, parts::Parts, snapshots::pull::offer_packets,
    writes::Puts,
};

pub(crate) struct PeerService {
    pub(crate) parts: Arc<Parts>,
    pub(crate) puts: Arc<Puts>,
    pub(crate) client: LeaderClient,
}

impl Service for PeerService {
    fn introduction(&self) -> Introduction {
        self.parts.peers.roster().introduction()
    }

    fn admits(&self, peer: NodeId) -> bool {
        self.parts.peers.roster().admits(peer)
    }

    fn expelled(&self, peer: NodeId) -> BoxFuture<'static, ()> {
        self.parts.peers.roster().expelled(peer)
    }

    fn has_lost_data(&self, peer: NodeId) -> bool {
        self.parts.peers.roster().has_lost_data(peer)
    }

    fn expects_joiners(&self) -> bool {
        let now = self.parts.peers.exchange().time().time;
        self.parts.peers.roster().expects_joiners(now)
    }

    fn join(
        self: Arc<Self>,
        joiner: NodeId,
        request: JoinRequest,
    ) -> BoxFuture<'static, Option<JoinAnswer>> {
        Box::pin(async move { self.client.take_in(joiner, request).await })
    }

    fn serve(
        self: Arc<Self>,
        peer: NodeId,
        lane: Lane,
        requests: BoxStream<'static, Result<Frame<Request>, LinkError>>,
    ) -> BoxStream<'static, Frame<Response>> {
        let exchange = self.parts.peers.exchange().clone();
        let requests = self.receive(peer, requests);
        let responses = match lane {
            Lane::Append | Lane::Control | Lane::Forward => self.answer_all(requests),
            Lane::Admin => self.answer_operators(peer, requests),
            // No link comes of it.
            Lane::Join => stream::empty().boxed(),
            Lane::Snapshot => {
                let store = self.parts.store.clone();
                self.parts.raft.receive_snapshots(store, peer, requests)
            }
            Lane::Pull => offer_packets(self.parts.state_machine.clone(), peer, requests),
        };
        let framed = responses.map(move |(id, message)| Frame {
            id,
            message,
            tail: exchange.tail(peer),
        });
        framed.boxed()
    }
}

impl PeerService {
    /// The requests of a peer, whose tails and whose end are noted.
    fn receive(
        &self,
        peer: NodeId,
        requests: BoxStream<'static, Result<Frame<Request>, LinkError>>,
    ) -> BoxStream<'static, Numbered<Request>> {
        let exchange = self.parts.peers.exchange().clone();
        let presence = self.parts.peers.presence();
        let open = (requests, presence.enter(peer, Direction::Accepted));
        stream::unfold(open, move |(mut requests, present)| {
            let exchange = exchange.clone();
            async move {
                match requests.next().await? {
                    Ok(Frame { id, message, tail }) => {
                        exchange.on_request(peer, tail);
                        Some(((id, message), (requests, present)))
                    }
                    Err(error) => {
                        present.leave(&error);
                        None
                    }
                }
            }
        })
        .boxed()
    }

    /// Answers as soon as there is an answer, whatever came before.
    ///
    /// Polled first in order, so that requests reach Raft in order. Not so under tokio's budget: a
    /// task that has used it up suspends its futures anywhere, and wakes them last first. Raft takes
    /// entries out of order for a follower that forgot some.
    fn answer_all(
        self: Arc<Self>,
        requests: BoxStream<'static, Numbered<Request>>,
    ) -> BoxStream<'static, Numbered<Response>> {
        requests
            .map(move |(id, request)| {
                let service = self.clone();
                tokio::task::unconstrained(async move { (id, service.answer(request).await) })
            })
            .buffer_unordered(PIPELINE_MAX)
            .boxed()
    }

    /// Answers what the leader is asked at `peer`, each as soon as there is an answer: a change that
    /// waits for others delays nobody.
    fn answer_operators(
        self: Arc<Self>,
        peer: NodeId,
        requests: BoxStream<'static, Numbered<Request>>,
    ) -> BoxStream<'static, Numbered<Response>> {
        requests
            .map(move |(id, request)| {
                let service = self.clone();
                async move {
                    let response = match request {
                        Request::Operate(asked) => {
                            Response::Operated(service.client.answer(peer, &asked).await)
                        }
                        _ => Response::Failed("this lane is for operators".to_owned()),
                    };
                    (id, response)
                }
            })
            .buffer_unordered(PIPELINE_MAX)
            .boxed()
    }

    async fn answer(&self, request: Request) -> Response {
        match request {
            Request::Propose(packets) => Response::Proposed(self.propose(packets).await),
            Request::ReadIndex => Response::ReadIndex(self.parts.raft.read_index().await),
            Request::Vote(_) | Request::PreVote(_) | Request::TransferLeader(_)
                if !self.parts.franchise.is_given() =>
            {
                let reason = "its log was empty when it started: it may have voted before, and has \
                              not caught up with a leader since";
                Response::Failed(reason.to_owned())
            }
            of_raft => self.parts.raft.answer(of_raft).await,
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
