//! Answers the requests of peers.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{
    StreamExt,
    future::{BoxFuture, ready},
    stream::{self, BoxStream},
};
use quorate_peer::{
    Acknowledgements, Admission, DataLoss, Frame, Introduction, JoinAnswer, JoinRequest, LinkError,
    LogSummary, NodeId, Service, StreamKind, Voucher,
    message::{Proposed, Request, Response},
};
use quorate_state::EncodedPackets;

use crate::{
    links::WithRequestId, links::connection::PIPELINE_MAX, links::link_tracker::Direction,
    membership::admin::Admin, node_context::NodeContext, snapshots::pull::offer_packets,
    writes::WriteQueue,
};

pub(crate) struct PeerService {
    pub(crate) context: Arc<NodeContext>,
    pub(crate) write_queue: Arc<WriteQueue>,
    pub(crate) admin: Arc<Admin>,
}

impl Service for PeerService {
    fn introduction(&self) -> Introduction {
        self.context.peers.membership_view.introduction()
    }

    fn admission(&self, peer: NodeId, vouchers: &[Voucher]) -> Admission {
        self.context.peers.membership_view.admission(peer, vouchers)
    }

    fn removed(&self, peer: NodeId, vouchers: Vec<Voucher>) -> BoxFuture<'static, ()> {
        self.context.peers.membership_view.removed(peer, vouchers)
    }

    fn acknowledged(&self) -> Acknowledgements {
        self.context.peers.membership_view.acknowledged()
    }

    fn lost_data(
        &self,
        peer: NodeId,
        stated: LogSummary,
        before: &Acknowledgements,
    ) -> Option<DataLoss> {
        self.context
            .peers
            .membership_view
            .lost_data(peer, stated, before)
    }

    fn expects_joiners(&self) -> bool {
        let now = self.context.gossip.time().time;
        self.context.peers.membership_view.expects_joiners(now)
    }

    fn join(
        self: Arc<Self>,
        joiner: NodeId,
        request: JoinRequest,
    ) -> BoxFuture<'static, Option<JoinAnswer>> {
        Box::pin(async move { self.admin.admit(joiner, request).await })
    }

    fn serve(
        self: Arc<Self>,
        peer: NodeId,
        stream_kind: StreamKind,
        requests: BoxStream<'static, Result<Frame<Request>, LinkError>>,
    ) -> BoxStream<'static, Frame<Response>> {
        let gossip = self.context.gossip.clone();
        let requests = self.receive(peer, requests);
        let responses = match stream_kind {
            StreamKind::Append | StreamKind::Control | StreamKind::Forward | StreamKind::Admin => {
                self.answer_all(peer, stream_kind, requests)
            }
            // A join stream carries no requests after its handshake.
            StreamKind::Join => stream::empty().boxed(),
            StreamKind::Snapshot => {
                let store = self.context.store.clone();
                let peers = self.context.peers.clone();
                let raft = &self.context.raft;
                raft.receive_snapshots(store, peers, peer, requests)
            }
            StreamKind::Pull => offer_packets(self.context.state_machine.clone(), peer, requests),
        };
        let framed = responses.map(move |(id, message)| Frame {
            id,
            message,
            metadata: gossip.metadata(peer),
        });
        framed.boxed()
    }
}

impl PeerService {
    /// The requests of a peer. Records their metadata, and the end of the link.
    fn receive(
        &self,
        peer: NodeId,
        requests: BoxStream<'static, Result<Frame<Request>, LinkError>>,
    ) -> BoxStream<'static, WithRequestId<Request>> {
        let gossip = self.context.gossip.clone();
        let guard = self
            .context
            .peers
            .link_tracker
            .enter(peer, Direction::Accepted);
        let received = requests.scan(Some(guard), move |guard, request| {
            ready(match request {
                Ok(Frame {
                    id,
                    message,
                    metadata,
                }) => {
                    gossip.on_request(peer, metadata);
                    Some((id, message))
                }
                Err(error) => {
                    if let Some(guard) = guard.take() {
                        guard.leave(&error);
                    }
                    None
                }
            })
        });
        received.boxed()
    }

    /// Sends each answer as soon as there is one, in any order.
    ///
    /// The futures are first polled in order, so that requests reach Raft in order. Tokio's cooperative
    /// budget would break that: a task that has used it up suspends its futures anywhere, and wakes the
    /// last one first. To Raft, entries out of order look like a follower that forgot some.
    fn answer_all(
        self: Arc<Self>,
        peer: NodeId,
        stream_kind: StreamKind,
        requests: BoxStream<'static, WithRequestId<Request>>,
    ) -> BoxStream<'static, WithRequestId<Response>> {
        requests
            .map(move |(id, request)| {
                let service = self.clone();
                tokio::task::unconstrained(async move {
                    (id, service.answer(peer, stream_kind, request).await)
                })
            })
            .buffer_unordered(PIPELINE_MAX)
            .boxed()
    }

    async fn answer(&self, peer: NodeId, stream_kind: StreamKind, request: Request) -> Response {
        match request {
            Request::Admin(forwarded) if stream_kind == StreamKind::Admin => {
                Response::Admin(self.admin.answer_peer(peer, &forwarded).await)
            }
            Request::KeepKey(key) if stream_kind == StreamKind::Admin => {
                self.context.keep_key(peer, key).await
            }
            Request::Key(id) if stream_kind == StreamKind::Admin => self.context.give_key(peer, id),
            _ if stream_kind == StreamKind::Admin => Response::Failed(
                "this stream accepts only requests of operators, and for cluster keys".to_owned(),
            ),
            Request::Propose(packets) => Response::Proposed(self.propose(peer, packets).await),
            Request::ReadIndex => Response::ReadIndex(self.context.raft.read_index().await),
            Request::Vote(_) | Request::PreVote(_) | Request::TransferLeader(_)
                if !self.context.may_vote() =>
            {
                let reason = "this node does not vote: its log was empty when it started, so it may \
                              have lost votes, and it has not caught up with a leader yet";
                Response::Failed(reason.to_owned())
            }
            // A candidate that asks for votes no longer follows the leader: to reject it would only
            // make the election longer.
            Request::PreVote(_) if self.context.honors_released_lease() => {
                Response::Failed("this node hears its leader again".to_owned())
            }
            request => match self.context.peers.check(peer, &request) {
                Ok(()) => self.context.raft.answer(request).await,
                Err(reason) => Response::Failed(reason.to_string()),
            },
        }
    }

    /// Proposes packets that `peer` has verified. Those of a learner are verified again: there are many
    /// learners, and their machines are less closely watched than voters.
    async fn propose(&self, peer: NodeId, packets: Bytes) -> Proposed {
        let membership_view = &self.context.peers.membership_view;
        match EncodedPackets::parse(packets) {
            Ok(packets) => match membership_view.is_voter(peer) || are_signed(&packets).await {
                true => self.write_queue.propose(packets).await,
                false => {
                    tracing::error!(%peer, "rejected forwarded packets with invalid signatures");
                    Proposed::Rejected
                }
            },
            Err(error) => {
                tracing::error!(%error, "rejected forwarded packets that cannot be decoded");
                Proposed::Rejected
            }
        }
    }
}

async fn are_signed(packets: &EncodedPackets) -> bool {
    let packets = packets.clone();
    let verified = tokio::task::spawn_blocking(move || packets.are_signed());
    verified.await.unwrap_or(false)
}
