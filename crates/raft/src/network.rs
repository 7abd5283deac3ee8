//! The transport as openraft sees it: what this node says to one peer.

use std::{future::Future, sync::Arc, time::Duration};

use futures_util::{Stream, StreamExt, stream::BoxStream};
use openraft::{
    BasicNode, OptionalSend, RaftNetworkFactory,
    base::BoxFuture,
    errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable},
    network::{
        Backoff, NetBackoff, NetSnapshot, NetStreamAppend, NetTransferLeader, NetVote, RPCOption,
    },
    raft::{
        AppendEntriesRequest, SnapshotResponse, StreamAppendError, StreamAppendResult,
        TransferLeaderError, TransferLeaderRequest, TransferLeaderResponse, VoteRequest,
        VoteResponse,
    },
};

use quorate_rpc::{
    Lane, LinkError, NodeId, Transport,
    message::{self, Append, Appended, Request, Response, SnapshotBegin, TransferOutcome},
};

use crate::{
    pipe::{Pipe, Route},
    snapshot::SnapshotData,
    types::{self, TypeConfig, Vote},
};

type RpcError = RPCError<TypeConfig>;
type Snapshot = openraft::type_config::alias::SnapshotOf<TypeConfig, SnapshotData>;

/// How long the append stream waits for a response that it is owed. A follower answers once its
/// disk has; one that takes longer than this for it is as good as dead.
const APPEND_TIMEOUT: Duration = Duration::from_secs(10);

/// How long one piece of a snapshot may take to be received and stored, and its sender until the
/// next.
pub(crate) const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(60);

/// How soon a peer is tried again that could not be reached, and at the most how late. A peer that
/// restarts should not wait for the leader longer than its own election timeout.
const BACKOFF: [Duration; 4] = [
    Duration::from_millis(20),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
];

/// Makes the networks to all peers.
pub(crate) struct Networks {
    transport: Arc<dyn Transport>,
}

impl Networks {
    pub(crate) fn new(transport: Arc<dyn Transport>) -> Self {
        Self { transport }
    }

    fn network(&self, peer: NodeId, node: &BasicNode, append_lane: Lane) -> Network {
        let pipe = |lane| {
            Pipe::new(Route {
                transport: self.transport.clone(),
                peer,
                address: node.addr.clone(),
                lane,
            })
        };
        Network {
            append: pipe(append_lane),
            control: pipe(Lane::Control),
            snapshot: pipe(Lane::Snapshot),
        }
    }
}

impl RaftNetworkFactory<TypeConfig> for Networks {
    type Network = Network;

    async fn new_client(&mut self, target: NodeId, node: &BasicNode) -> Network {
        self.network(target, node, Lane::Append)
    }

    async fn new_heartbeat_client(&mut self, target: NodeId, node: &BasicNode) -> Network {
        self.network(target, node, Lane::Control)
    }
}

/// What this node says to one peer.
pub(crate) struct Network {
    append: Pipe,
    control: Pipe,
    snapshot: Pipe,
}

impl Network {
    async fn vote_on(
        &mut self,
        request: Request,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RpcError> {
        match self.control.call(request, option.soft_ttl()).await {
            Ok(Response::Vote(response)) => Ok(VoteResponse {
                vote: types::from_vote(&response.vote),
                vote_granted: response.granted,
                last_log_id: response.last_log.map(types::log_id),
            }),
            Ok(other) => Err(unexpected(&other)),
            Err(error) => Err(unreachable_peer(&error)),
        }
    }
}

impl NetVote<TypeConfig> for Network {
    async fn vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RpcError> {
        self.vote_on(Request::Vote(vote_request(rpc)), option).await
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RpcError> {
        self.vote_on(Request::PreVote(vote_request(rpc)), option)
            .await
    }
}

fn vote_request(rpc: VoteRequest<TypeConfig>) -> message::VoteRequest {
    message::VoteRequest {
        vote: types::vote(&rpc.vote),
        last_log: rpc.last_log_id.as_ref().map(types::position),
        leadership_transfer: rpc.leadership_transfer,
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
        self.append.forget_owed();
        if !self.append.has_room() {
            self.append.close();
        }
        let session = AppendSession {
            pipe: &mut self.append,
            input: Some(input),
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
    pipe: &'s mut Pipe,
    input: Option<S>,
}

impl<S: Stream<Item = AppendEntriesRequest<TypeConfig>> + Unpin> AppendSession<'_, S> {
    /// The next response, or `None` when the input has ended and nothing is owed.
    async fn next(&mut self) -> Option<Result<StreamAppendResult<TypeConfig>, RpcError>> {
        loop {
            let wanted = self.pipe.wanted();
            let input = match &mut self.input {
                Some(input) if self.pipe.has_room() => Some(input),
                None if wanted == 0 => return None,
                _ => None,
            };
            let request = async {
                match input {
                    Some(input) => input.next().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                response = tokio::time::timeout(APPEND_TIMEOUT, self.pipe.receive()), if wanted > 0 => {
                    let Ok(response) = response else {
                        self.pipe.close();
                        let text = format!("no answer to AppendEntries in {APPEND_TIMEOUT:?}");
                        return Some(Err(unreachable_peer(&LinkError(text))));
                    };
                    return Some(response.map_err(|e| unreachable_peer(&e)).and_then(appended));
                }
                request = request => match request {
                    None => self.input = None,
                    Some(request) => {
                        if let Err(error) = self.pipe.send(append(request)).await {
                            return Some(Err(unreachable_peer(&error)));
                        }
                    }
                }
            }
        }
    }
}

fn append(rpc: AppendEntriesRequest<TypeConfig>) -> Request {
    Request::Append(Append {
        vote: types::vote(&rpc.vote),
        previous: rpc.prev_log_id.as_ref().map(types::position),
        entries: rpc.entries.into_iter().map(types::entry).collect(),
        leader_commit: rpc.leader_commit.as_ref().map(types::position),
    })
}

fn appended(response: Response) -> Result<StreamAppendResult<TypeConfig>, RpcError> {
    match response {
        Response::Append(Appended::Flushed(position)) => Ok(Ok(position.map(types::log_id))),
        Response::Append(Appended::Conflict(position)) => {
            Ok(Err(StreamAppendError::Conflict(types::log_id(position))))
        }
        Response::Append(Appended::HigherVote(vote)) => {
            Ok(Err(StreamAppendError::HigherVote(types::from_vote(&vote))))
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
            from: types::vote(req.from_leader()),
            to: *req.to_node_id(),
            last_log: req.last_log_id().map(types::position),
        });
        match self.control.call(request, option.soft_ttl()).await {
            Ok(Response::TransferLeader(outcome)) => Ok(transfer_outcome(outcome)),
            Ok(other) => Err(unexpected(&other)),
            Err(error) => Err(unreachable_peer(&error)),
        }
    }
}

fn transfer_outcome(outcome: TransferOutcome) -> TransferLeaderResponse<TypeConfig> {
    match outcome {
        TransferOutcome::Accepted => Ok(()),
        TransferOutcome::VoteChanged { expected, actual } => {
            Err(TransferLeaderError::VoteChanged {
                expected: types::from_vote(&expected),
                actual: types::from_vote(&actual),
            })
        }
        TransferOutcome::LogNotFlushed { expected, actual } => {
            Err(TransferLeaderError::LogNotFlushed {
                expected: expected.map(types::log_id),
                actual: actual.map(types::log_id),
            })
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
    pipe: &mut Pipe,
    vote: Vote,
    snapshot: Snapshot,
) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
    let SnapshotData::Held(held) = snapshot.snapshot else {
        let text = "a snapshot that was received is installed, never sent on";
        return Err(StreamingError::Network(NetworkError::from_string(text)));
    };
    let begin = Request::SnapshotBegin(SnapshotBegin {
        vote: types::vote(&vote),
        last_log: snapshot.meta.last_log_id.as_ref().map(types::position),
        membership: types::stored_membership(&snapshot.meta.last_membership),
    });
    if let Some(early) = send_piece(pipe, begin).await? {
        return Ok(early);
    }
    let mut chunks = held.chunks().map_err(|e| network_error(&e))?;
    loop {
        let read = tokio::task::spawn_blocking(move || (chunks.next_chunk(), chunks)).await;
        let (chunk, rest) = read.map_err(|e| network_error(&e))?;
        chunks = rest;
        let request = match chunk.map_err(|e| network_error(&e))? {
            Some(chunk) => Request::SnapshotChunk(chunk),
            None => Request::SnapshotEnd,
        };
        if let Some(installed) = send_piece(pipe, request).await? {
            return Ok(installed);
        }
    }
}

/// Sends one piece and returns the last response, if that is what comes.
async fn send_piece(
    pipe: &mut Pipe,
    request: Request,
) -> Result<Option<SnapshotResponse<TypeConfig>>, StreamingError<TypeConfig>> {
    match pipe.call(request, SNAPSHOT_TIMEOUT).await {
        Ok(Response::SnapshotProgress) => Ok(None),
        Ok(Response::SnapshotInstalled(vote)) => {
            Ok(Some(SnapshotResponse::new(types::from_vote(&vote))))
        }
        Ok(other) => Err(unexpected(&other).into()),
        Err(error) => Err(StreamingError::Unreachable(Unreachable::new(&error))),
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

fn unreachable_peer(error: &LinkError) -> RpcError {
    RPCError::Unreachable(Unreachable::new(error))
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
