//! The transport as openraft sees it: what this node says to one peer.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures_util::{
    Stream, StreamExt,
    stream::{BoxStream, Fuse},
};
use openraft::{
    OptionalSend, RaftNetworkFactory,
    base::BoxFuture,
    errors::{NetworkError, RPCError, Unreachable},
    network::{Backoff, NetBackoff, NetStreamAppend, NetTransferLeader, NetVote, RPCOption},
    raft::{
        AppendEntriesRequest, StreamAppendError, StreamAppendResult, TransferLeaderRequest,
        TransferLeaderResponse, VoteRequest, VoteResponse,
    },
};
use quorate_peer::{
    Lane, LinkError, NodeId,
    message::{self, Append, Appended, Request, Response},
};
use tokio::time::timeout;

use super::{
    conversions::{IntoOpenraft, IntoOurs},
    types::{Entry, TypeConfig},
};
use crate::{
    links::connection::{CallError, PIPELINE_MAX, Reply},
    links::peer_link::{BACKOFF, PeerLink},
    links::peers::Peers,
    snapshots::transfers::Transfers,
};

type RpcError = RPCError<TypeConfig>;
type VoteResult = Result<VoteResponse<TypeConfig>, RpcError>;

/// Makes the networks to all peers. openraft asks for a new one for each vote; all of a peer use
/// the same links.
pub(crate) struct Networks {
    pub(crate) peers: Arc<Peers>,
    pub(crate) transfers: Transfers,
}

impl Networks {
    fn network(&self, peer: NodeId, address: &str, append_lane: Lane) -> Network {
        Network {
            append_lane,
            peers: self.peers.clone(),
            transfers: self.transfers.clone(),
            peer,
            address: address.to_owned(),
            failure_count: 0,
        }
    }
}

impl RaftNetworkFactory<TypeConfig> for Networks {
    type Network = Network;

    async fn new_client(&mut self, target: NodeId, address: &String) -> Network {
        self.network(target, address, Lane::Append)
    }

    async fn new_heartbeat_client(&mut self, target: NodeId, address: &String) -> Network {
        self.network(target, address, Lane::Control)
    }
}

/// What this node says to one peer. openraft keeps it when the peer moves: so the link is asked for
/// whenever something is said.
pub(crate) struct Network {
    append_lane: Lane,
    pub(super) peers: Arc<Peers>,
    pub(super) transfers: Transfers,
    pub(super) peer: NodeId,
    pub(super) address: String,
    /// How many snapshots in a row were refused or could not be sent.
    pub(super) failure_count: u32,
}

impl Network {
    fn link(&self, lane: Lane) -> Arc<PeerLink> {
        self.peers.link(self.peer, &self.address, lane)
    }

    async fn vote_on(&mut self, request: Request, option: RPCOption) -> VoteResult {
        match call(&self.link(Lane::Control), request, option.soft_ttl()).await? {
            Response::Vote(response) => Ok(response.into_openraft()),
            other => Err(unexpected(&other)),
        }
    }
}

impl NetVote<TypeConfig> for Network {
    async fn vote(&mut self, rpc: VoteRequest<TypeConfig>, option: RPCOption) -> VoteResult {
        self.vote_on(Request::Vote(rpc.into_ours()), option).await
    }

    async fn pre_vote(&mut self, rpc: VoteRequest<TypeConfig>, option: RPCOption) -> VoteResult {
        let request = Request::PreVote(rpc.into_ours());
        self.vote_on(request, option).await
    }
}

impl NetStreamAppend<TypeConfig> for Network {
    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        _option: RPCOption,
    ) -> BoxFuture<
        's,
        Result<BoxStream<'s, Result<StreamAppendResult<TypeConfig>, RpcError>>, RpcError>,
    >
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
    {
        let session = AppendSession {
            link: self.link(self.append_lane),
            input: input.fuse(),
            replies: VecDeque::new(),
        };
        let responses = futures_util::stream::unfold(Some(session), |session| async move {
            let mut session = session?;
            match session.next().await? {
                Ok(Ok(position)) => Some((Ok(Ok(position)), Some(session))),
                last => Some((last, None)),
            }
        });
        Box::pin(async move { Ok(responses.boxed()) })
    }
}

/// One stream of AppendEntries: requests go out while responses come in.
struct AppendSession<S> {
    link: Arc<PeerLink>,
    input: Fuse<S>,
    /// Those in flight, oldest first.
    replies: VecDeque<Reply>,
}

impl<S: Stream<Item = AppendEntriesRequest<TypeConfig>> + Unpin> AppendSession<S> {
    /// The next response, or `None` when the input has ended and nothing is in flight.
    async fn next(&mut self) -> Option<Result<StreamAppendResult<TypeConfig>, RpcError>> {
        loop {
            let (in_flight, has_room) =
                (!self.replies.is_empty(), self.replies.len() < PIPELINE_MAX);
            let sent = tokio::select! {
                biased;
                response = oldest(&mut self.replies), if in_flight => {
                    self.replies.pop_front();
                    return Some(response.map_err(unreachable_peer).and_then(appended));
                }
                Some(request) = self.input.next(), if has_room => {
                    self.link.send(append(request)).await
                }
                else => return None,
            };
            match sent {
                Ok(reply) => self.replies.push_back(reply),
                Err(error) => return Some(Err(unreachable_peer(error))),
            }
        }
    }
}

async fn oldest(replies: &mut VecDeque<Reply>) -> Result<Response, CallError> {
    match replies.front_mut() {
        Some(reply) => reply.response().await,
        None => std::future::pending().await,
    }
}

fn append(rpc: AppendEntriesRequest<TypeConfig>) -> Request {
    Request::Append(Append {
        vote: rpc.vote.into_ours(),
        previous: rpc.prev_log_id.into_ours(),
        entries: rpc.entries.into_iter().map(Entry::into_ours).collect(),
        leader_commit: rpc.leader_commit.into_ours(),
    })
}

fn appended(response: Response) -> Result<StreamAppendResult<TypeConfig>, RpcError> {
    match response {
        Response::Append(Appended::Flushed(position)) => Ok(Ok(position.into_openraft())),
        Response::Append(Appended::Conflict(position)) => {
            Ok(Err(StreamAppendError::Conflict(position.into_openraft())))
        }
        Response::Append(Appended::HigherVote(vote)) => {
            Ok(Err(StreamAppendError::HigherVote(vote.into_openraft())))
        }
        other => Err(unexpected(&other)),
    }
}

impl NetTransferLeader<TypeConfig> for Network {
    async fn transfer_leader(
        &mut self,
        req: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RpcError> {
        let request = Request::TransferLeader(message::TransferLeader {
            from: req.from_leader().into_ours(),
            to: *req.to_node_id(),
            last_log: req.last_log_id().copied().into_ours(),
        });
        match call(&self.link(Lane::Control), request, option.soft_ttl()).await? {
            Response::TransferLeader(outcome) => Ok(outcome.into_openraft()),
            other => Err(unexpected(&other)),
        }
    }
}

impl NetBackoff<TypeConfig> for Network {
    fn backoff(&self) -> Option<Backoff> {
        let last = BACKOFF[BACKOFF.len() - 1];
        Some(Backoff::new(
            BACKOFF.into_iter().chain(std::iter::repeat(last)),
        ))
    }
}

async fn call(link: &PeerLink, request: Request, limit: Duration) -> Result<Response, RpcError> {
    let response = timeout(limit, link.call(request)).await;
    let response = response.unwrap_or_else(|_| Err(late(limit)));
    response.map_err(unreachable_peer)
}

fn late(limit: Duration) -> CallError {
    CallError::Lost(LinkError::Failed(format!("not within {limit:?}")))
}

fn unreachable_peer(error: CallError) -> RpcError {
    Unreachable::new(&error).into()
}

fn unexpected(response: &Response) -> RpcError {
    RPCError::Network(NetworkError::from_string(match response {
        Response::Failed(reason) => format!("the peer refused: {reason}"),
        other => format!("the peer answered another question: {other:?}"),
    }))
}
