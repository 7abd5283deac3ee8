//! What this node answers to its peers.

use std::sync::Arc;

use futures_util::{
    StreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use quorate_api::operate;
use quorate_log::Log;
use quorate_peer::{
    Frame, Introduction, JoinAnswer, JoinRequest, Lane, LinkError, LogState, NodeId, Service,
    message::{Proposed, Request, Response},
};
use quorate_state::{CommandError, EncodedPackets};
use quorate_store::Store;

use crate::{
    adapters::{Raft, StateMachine},
    links::connection::PIPELINE_MAX,
    links::peers::Peers,
    links::presence::Direction,
    membership::operator::LeaderClient,
    snapshots::pull::offer_packets,
    start::founding::Franchise,
    start::log_state::log_state,
    writes::Puts,
};

/// A request or a response, and the number of the request.
pub(crate) type Numbered<T> = (u64, T);

pub(crate) struct PeerService {
    pub(crate) puts: Arc<Puts>,
    pub(crate) raft: Raft,
    pub(crate) state_machine: StateMachine,
    pub(crate) log: Arc<Log>,
    pub(crate) store: Arc<Store>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) franchise: Franchise,
    pub(crate) client: LeaderClient,
}

impl Service for PeerService {
    fn introduction(&self) -> Introduction {
        self.peers.roster().introduction()
    }

    fn admits(&self, peer: NodeId) -> bool {
        self.peers.roster().admits(peer)
    }

    fn expelled(&self, peer: NodeId) -> BoxFuture<'static, ()> {
        self.peers.roster().expelled(peer)
    }

    fn has_lost_data(&self, peer: NodeId) -> bool {
        self.peers.roster().has_lost_data(peer)
    }

    fn expects_joiners(&self) -> bool {
        let now = self.peers.exchange().time().time;
        self.peers.roster().expects_joiners(now)
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
        let exchange = self.peers.exchange().clone();
        let requests = self.receive(peer, requests);
        let responses = match lane {
            Lane::Append | Lane::Control | Lane::Forward => self.answer_all(requests),
            Lane::Admin => self.answer_operators(peer, requests),
            // No link comes of it.
            Lane::Join => stream::empty().boxed(),
            Lane::Snapshot | Lane::Transfer => {
                let store = self.store.clone();
                self.raft.receive_snapshots(store, peer, requests)
            }
            Lane::Pull => offer_packets(self.state_machine.clone(), peer, requests),
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
    /// What is in this node's log now.
    pub(crate) fn log_state(&self) -> LogState {
        log_state(&self.log)
    }

    /// The requests of a peer, whose tails and whose end are noted.
    fn receive(
        &self,
        peer: NodeId,
        requests: BoxStream<'static, Result<Frame<Request>, LinkError>>,
    ) -> BoxStream<'static, Numbered<Request>> {
        let exchange = self.peers.exchange().clone();
        let open = (
            requests,
            self.peers.presence().enter(peer, Direction::Accepted),
        );
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

    /// Answers what operators ask of the leader at `peer`. A member only speaks for itself of names.
    fn answer_operators(
        self: Arc<Self>,
        peer: NodeId,
        requests: BoxStream<'static, Numbered<Request>>,
    ) -> BoxStream<'static, Numbered<Response>> {
        requests
            .then(move |(id, request)| {
                let service = self.clone();
                async move {
                    let response = match request {
                        Request::Operate(operate::Request::Name { node, .. }) if node != peer => {
                            Response::Failed("it is another node that is to be named".to_owned())
                        }
                        // Never asked on: whoever asks looks for the leader.
                        Request::Operate(request) => {
                            Response::Operated(service.client.admin.answer(request).await)
                        }
                        _ => Response::Failed("this lane is for operators".to_owned()),
                    };
                    (id, response)
                }
            })
            .boxed()
    }

    async fn answer(&self, request: Request) -> Response {
        match request {
            Request::Propose(packets) => {
                Response::Proposed(self.propose(EncodedPackets::parse(packets)).await)
            }
            Request::ProposeConditional(packets) => Response::Proposed(
                self.propose(EncodedPackets::parse_conditional(packets))
                    .await,
            ),
            Request::ReadIndex => Response::ReadIndex(self.raft.read_index().await),
            Request::Vote(_) | Request::PreVote(_) | Request::TransferLeader(_)
                if !self.franchise.is_given() =>
            {
                let reason = "its log was empty when it started: it may have voted before, and has \
                              not caught up with a leader since";
                Response::Failed(reason.to_owned())
            }
            of_raft => self.raft.answer(of_raft).await,
        }
    }

    async fn propose(&self, packets: Result<EncodedPackets, CommandError>) -> Proposed {
        match packets {
            Ok(packets) => self.puts.propose(packets).await,
            Err(error) => {
                tracing::error!(%error, "refused forwarded packets that cannot be read");
                Proposed::Refused
            }
        }
    }
}
