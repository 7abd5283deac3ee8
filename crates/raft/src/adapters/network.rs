//! The transport as openraft sees it: what this node says to one peer.

use std::{future::Future, sync::Arc, time::Duration};

use futures_util::{
    Stream, StreamExt,
    stream::{BoxStream, Fuse},
};
use openraft::{
    OptionalSend, RaftNetworkFactory,
    base::BoxFuture,
    errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable},
    network::{
        Backoff, NetBackoff, NetSnapshot, NetStreamAppend, NetTransferLeader, NetVote, RPCOption,
    },
    raft::{
        AppendEntriesRequest, SnapshotResponse, StreamAppendError, StreamAppendResult,
        TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
    },
};
use quorate_rpc::{
    Lane, LinkError, NodeId, Transport,
    message::{self, Append, Appended, Request, Response, SnapshotBegin},
};
use tokio::time::timeout;

use super::{
    conversions::{IntoOpenraft, IntoOurs},
    snapshot::{PIECE_TIMEOUT, Snapshot, SnapshotData},
    types::{Entry, TypeConfig, Vote},
};
use crate::pipelined_link::{PipelinedLink, Route};

type RpcError = RPCError<TypeConfig>;
type VoteResult = Result<VoteResponse<TypeConfig>, RpcError>;

/// How long the append stream waits for a response. A follower answers once its
/// disk has; one that takes longer than this for it is as good as dead.
const APPEND_TIMEOUT: Duration = Duration::from_secs(10);

/// How soon a peer is tried again that could not be reached, and at the most how late. A peer that
/// restarts should not wait for the leader longer than its own election timeout.
const BACKOFF: [Duration; 4] = [
    Duration::from_millis(20),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
];

/// Makes the networks to all peers.
pub(crate) struct Networks(pub(crate) Arc<dyn Transport>);

impl Networks {
    fn network(&self, peer: NodeId, address: &str, append_lane: Lane) -> Network {
        let link = |lane| {
            PipelinedLink::new(Route {
                transport: self.0.clone(),
                peer,
                address: address.to_owned(),
                lane,
            })
        };
        Network {
            append: link(append_lane),
            control: link(Lane::Control),
            snapshot: link(Lane::Snapshot),
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

/// What this node says to one peer.
pub(crate) struct Network {
    append: PipelinedLink,
    control: PipelinedLink,
    snapshot: PipelinedLink,
}

impl Network {
    async fn vote_on(&mut self, request: Request, option: RPCOption) -> VoteResult {
        match call(&mut self.control, request, option.soft_ttl()).await? {
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
        self.append.forget_in_flight();
        if !self.append.has_room() {
            self.append.close();
        }
        let session = AppendSession {
            link: &mut self.append,
            input: input.fuse(),
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
struct AppendSession<'s, S> {
    link: &'s mut PipelinedLink,
    input: Fuse<S>,
}

impl<S: Stream<Item = AppendEntriesRequest<TypeConfig>> + Unpin> AppendSession<'_, S> {
    /// The next response, or `None` when the input has ended and nothing is in flight.
    async fn next(&mut self) -> Option<Result<StreamAppendResult<TypeConfig>, RpcError>> {
        loop {
            let wanted = self.link.wanted();
            let sent = tokio::select! {
                biased;
                response = timeout(APPEND_TIMEOUT, self.link.receive()), if wanted > 0 => {
                    let response = response.unwrap_or_else(|_| {
                        self.link.close();
                        let text = format!("no answer to AppendEntries in {APPEND_TIMEOUT:?}");
                        Err(LinkError(text))
                    });
                    return Some(response.map_err(unreachable_peer).and_then(appended));
                }
                Some(request) = self.input.next(), if self.link.has_room() => {
                    self.link.send(append(request)).await
                }
                else => return None,
            };
            if let Err(error) = sent {
                return Some(Err(unreachable_peer(error)));
            }
        }
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
        match call(&mut self.control, request, option.soft_ttl()).await? {
            Response::TransferLeader(outcome) => Ok(outcome.into_openraft()),
            other => Err(unexpected(&other)),
        }
    }
}

impl NetSnapshot<TypeConfig> for Network {
    type SnapshotData = SnapshotData;

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        tokio::select! {
            closed = cancel => {
                self.snapshot.close();
                Err(StreamingError::Closed(closed))
            }
            sent = send_snapshot(&mut self.snapshot, vote, snapshot) => {
                if sent.is_err() {
                    self.snapshot.close();
                }
                sent
            }
        }
    }
}

async fn send_snapshot(
    link: &mut PipelinedLink,
    vote: Vote,
    snapshot: Snapshot,
) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
    let SnapshotData::Held(held, damage) = snapshot.snapshot else {
        let text = "a snapshot that was received is installed, never sent on";
        return Err(StreamingError::Network(NetworkError::from_string(text)));
    };
    let begin = Request::SnapshotBegin(SnapshotBegin {
        vote: vote.into_ours(),
        last_log: snapshot.meta.last_log_id.into_ours(),
        membership: snapshot.meta.last_membership.into_ours(),
    });
    if let Some(early) = send_piece(link, begin).await? {
        return Ok(early);
    }
    let chunks = held.chunks().inspect_err(|_| damage.notify_one());
    let mut chunks = chunks.map_err(|e| network_error(&e))?;
    loop {
        let read = tokio::task::spawn_blocking(move || (chunks.next_chunk(), chunks)).await;
        let (chunk, rest) = read.map_err(|e| network_error(&e))?;
        chunks = rest;
        let chunk = chunk.inspect_err(|_| damage.notify_one());
        let request = match chunk.map_err(|e| network_error(&e))? {
            Some(chunk) => Request::SnapshotChunk(chunk),
            None => Request::SnapshotEnd,
        };
        if let Some(installed) = send_piece(link, request).await? {
            return Ok(installed);
        }
    }
}

/// Sends one piece and returns the last response, if that is what comes.
async fn send_piece(
    link: &mut PipelinedLink,
    request: Request,
) -> Result<Option<SnapshotResponse<TypeConfig>>, StreamingError<TypeConfig>> {
    match call(link, request, PIECE_TIMEOUT).await? {
        Response::SnapshotProgress => Ok(None),
        Response::SnapshotInstalled(vote) => Ok(Some(SnapshotResponse::new(vote.into_openraft()))),
        other => Err(unexpected(&other).into()),
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

async fn call(
    link: &mut PipelinedLink,
    request: Request,
    timeout: Duration,
) -> Result<Response, RpcError> {
    let response = link.call(request, timeout).await;
    response.map_err(unreachable_peer)
}

fn unreachable_peer(error: LinkError) -> RpcError {
    Unreachable::new(&error).into()
}

fn unexpected(response: &Response) -> RpcError {
    RPCError::Network(NetworkError::from_string(match response {
        Response::Failed(reason) => format!("the peer refused: {reason}"),
        other => format!("the peer answered another question: {other:?}"),
    }))
}

fn network_error(error: &(impl std::error::Error + 'static)) -> StreamingError<TypeConfig> {
    StreamingError::Network(NetworkError::new(error))
}
