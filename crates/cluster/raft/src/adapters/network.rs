//! The transport as openraft sees it: the messages that this node sends to one peer.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures_util::{
    Stream, StreamExt,
    stream::{self, BoxStream},
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
    NodeId, StreamKind,
    message::{self, Append, Appended, Request, Response},
};

use quorate_state::Term;
use tokio::time::sleep;

use super::{
    answered::AnsweredRequests,
    conversions::{IntoOpenraft, IntoOurs},
    types::{Entry, TypeConfig},
};
use crate::{
    links::claims::ClaimError,
    links::connection::{CallError, PIPELINE_MAX, in_time, unexpected},
    links::peer_link::{BACKOFF, PeerLink},
    links::peers::Peers,
    snapshots::transfers::SnapshotTransfers,
};

/// How long a commit waits for the next entries, to be sent with them: a client that PUTs one packet after
/// the other sends the next one within this time. Other nodes show a packet later by as much.
const COMMIT_HOLD: Duration = Duration::from_millis(2);

type RpcError = RPCError<TypeConfig>;
type VoteResult = Result<VoteResponse<TypeConfig>, RpcError>;

/// Creates the networks to all peers. openraft requests a new one for each vote; all networks to a
/// peer use the same links.
pub(crate) struct Networks {
    pub(crate) peers: Arc<Peers>,
    pub(crate) transfers: SnapshotTransfers,
    pub(super) answered: AnsweredRequests,
}

impl Networks {
    fn network(&self, peer: NodeId, address: &str, append_kind: StreamKind) -> Network {
        Network {
            append_kind,
            peers: self.peers.clone(),
            transfers: self.transfers.clone(),
            answered: self.answered.clone(),
            peer,
            address: address.to_owned(),
            failure_count: 0,
        }
    }
}

impl RaftNetworkFactory<TypeConfig> for Networks {
    type Network = Network;

    async fn new_client(&mut self, target: NodeId, address: &String) -> Network {
        self.network(target, address, StreamKind::Append)
    }

    async fn new_heartbeat_client(&mut self, target: NodeId, address: &String) -> Network {
        self.network(target, address, StreamKind::Control)
    }
}

/// Sends messages to one peer. openraft keeps it when the address of the peer changes, so the link
/// is looked up for each message.
pub(crate) struct Network {
    append_kind: StreamKind,
    pub(super) peers: Arc<Peers>,
    pub(super) transfers: SnapshotTransfers,
    answered: AnsweredRequests,
    pub(super) peer: NodeId,
    pub(super) address: String,
    /// How many snapshots in a row were rejected or could not be sent.
    pub(super) failure_count: u32,
}

impl Network {
    fn link(&self, stream_kind: StreamKind) -> Arc<PeerLink> {
        self.peers.link(self.peer, &self.address, stream_kind)
    }

    async fn send_vote(&mut self, request: Request, option: RPCOption) -> VoteResult {
        match call(&self.link(StreamKind::Control), request, option.soft_ttl()).await? {
            Response::Vote(mut response) => {
                let vote = self.peers.check_vote(self.peer, response.vote);
                response.vote = vote.map_err(rejected_message)?;
                Ok(response.into_openraft())
            }
            other => Err(unexpected_response(other)),
        }
    }
}

impl NetVote<TypeConfig> for Network {
    async fn vote(&mut self, rpc: VoteRequest<TypeConfig>, option: RPCOption) -> VoteResult {
        self.send_vote(Request::Vote(rpc.into_ours()), option).await
    }

    async fn pre_vote(&mut self, rpc: VoteRequest<TypeConfig>, option: RPCOption) -> VoteResult {
        let request = Request::PreVote(rpc.into_ours());
        self.send_vote(request, option).await
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
        // Everything on this stream is from one leader, and answers may arrive when it no longer
        // leads.
        let term = Arc::<OnceLock<Term>>::default();
        let (peer, leader_term) = (self.peer, term.clone());
        let requests = hold_back_commits(input).map(move |rpc| {
            let request = append(rpc);
            term.get_or_init(|| request.vote.term);
            Ok(Request::Append(request))
        });
        let responses = self
            .link(self.append_kind)
            .pipelined(requests, PIPELINE_MAX);
        let (peers, answered) = (self.peers.clone(), self.answered.clone());
        let answers = responses.map(move |response| {
            let (sent, response) = response.map_err(unreachable_peer)?;
            let flushed = match &response {
                Response::Append(Appended::Flushed(position)) => *position,
                _ => None,
            };
            let answer = append_result(&peers, peer, response)?;
            let Some(term) = leader_term.get().copied() else {
                return Ok(answer);
            };
            if !matches!(answer, Err(StreamAppendError::HigherVote(_))) {
                answered.record(term, peer, sent);
            }
            if let Some(position) = flushed {
                let membership_view = &peers.membership_view;
                membership_view.record_acknowledged(term, peer, position);
            }
            Ok(answer)
        });
        // The stream ends with the first entries that the peer has not accepted.
        let answers = stream::unfold(Some(answers.boxed()), |answers| async {
            let mut answers = answers?;
            match answers.next().await? {
                Ok(Ok(position)) => Some((Ok(Ok(position)), Some(answers))),
                last => Some((last, None)),
            }
        });
        Box::pin(async move { Ok(answers.boxed()) })
    }
}

/// Holds back requests that only say what is committed, because the next entries say it too. With one
/// client, half of all messages of a leader are such. A node that forwarded a packet learns of its commit
/// with the answer.
fn hold_back_commits(
    requests: impl Stream<Item = AppendEntriesRequest<TypeConfig>> + Unpin,
) -> impl Stream<Item = AppendEntriesRequest<TypeConfig>> {
    stream::unfold(requests.fuse(), async |mut requests| {
        let mut request = requests.next().await?;
        let hold = sleep(COMMIT_HOLD);
        tokio::pin!(hold);
        while request.entries.is_empty() {
            tokio::select! {
                biased;
                next = requests.next() => match next {
                    Some(next) => request = next,
                    None => break,
                },
                () = &mut hold => break,
            }
        }
        Some((request, requests))
    })
}

fn append(rpc: AppendEntriesRequest<TypeConfig>) -> Append {
    Append {
        vote: rpc.vote.into_ours(),
        previous: rpc.prev_log_id.into_ours(),
        entries: rpc.entries.into_iter().map(Entry::into_ours).collect(),
        leader_commit: rpc.leader_commit.into_ours(),
    }
}

fn append_result(
    peers: &Peers,
    peer: NodeId,
    response: Response,
) -> Result<StreamAppendResult<TypeConfig>, RpcError> {
    let check = |position| peers.check_sent(peer, position).map_err(rejected_message);
    match response {
        Response::Append(Appended::Flushed(position)) => {
            check(position)?;
            Ok(Ok(position.into_openraft()))
        }
        Response::Append(Appended::Conflict(position)) => {
            check(Some(position))?;
            Ok(Err(StreamAppendError::Conflict(position.into_openraft())))
        }
        Response::Append(Appended::HigherVote(vote)) => {
            let vote = peers.check_vote(peer, vote).map_err(rejected_message)?;
            Ok(Err(StreamAppendError::HigherVote(vote.into_openraft())))
        }
        other => Err(unexpected_response(other)),
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
        match call(&self.link(StreamKind::Control), request, option.soft_ttl()).await? {
            Response::TransferLeader(outcome) => Ok(outcome.into_openraft()),
            other => Err(unexpected_response(other)),
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
    let response = in_time(limit, link.call(request)).await;
    response.map_err(unreachable_peer)
}

fn unreachable_peer(error: CallError) -> RpcError {
    Unreachable::new(&error).into()
}

fn rejected_message(reason: ClaimError) -> RpcError {
    RPCError::Network(NetworkError::new(&reason))
}

fn unexpected_response(response: Response) -> RpcError {
    RPCError::Network(NetworkError::from_string(unexpected(response)))
}

#[cfg(test)]
#[path = "network_tests.rs"]
mod tests;
