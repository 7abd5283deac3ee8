//! What this node answers to its peers.

use std::sync::Arc;

use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, TransferLeaderError, TransferLeaderRequest,
    VoteRequest, VoteResponse,
};
use quorate_store::{SnapshotReceiver, Store};
use tokio::sync::{Mutex, OwnedMutexGuard};

use quorate_rpc::{
    Lane, NodeId, Service,
    message::{self, Append, Appended, Request, Response, SnapshotBegin, TransferOutcome},
};

use crate::{
    leadership::Contact,
    network::SNAPSHOT_TIMEOUT,
    node::Raft,
    pipe::PIPELINE_MAX,
    proposer::Proposer,
    snapshot::SnapshotData,
    types::{self, SnapshotMeta, TypeConfig},
};

/// Answers peers.
pub(crate) struct PeerService {
    pub(crate) raft: Raft,
    pub(crate) proposer: Arc<Proposer>,
    pub(crate) store: Arc<Store>,
    /// Held while a snapshot is received: there is one file to receive it in.
    pub(crate) receiving: Arc<Mutex<()>>,
    /// When the leader was heard.
    pub(crate) contact: Contact,
}

impl Service for PeerService {
    fn serve(
        self: Arc<Self>,
        peer: NodeId,
        lane: Lane,
        requests: BoxStream<'static, Request>,
    ) -> BoxStream<'static, Response> {
        if lane == Lane::Snapshot {
            return self.serve_snapshots(peer, requests);
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
        let answer = match request {
            Request::Append(append) => self.append(append).await,
            Request::Vote(request) => {
                let answer = self.raft.vote(vote_request(&request)).await;
                answer.map(vote_response).map_err(|e| e.to_string())
            }
            Request::PreVote(request) => {
                let answer = self.raft.pre_vote(vote_request(&request)).await;
                answer.map(vote_response).map_err(|e| e.to_string())
            }
            Request::TransferLeader(request) => self.transfer_leader(request).await,
            Request::Propose(batch) => Ok(Response::Proposed(self.proposer.propose(batch).await)),
            Request::ReadIndex => Ok(Response::ReadIndex(self.proposer.read_index().await)),
            Request::SnapshotBegin(_) | Request::SnapshotChunk(_) | Request::SnapshotEnd => {
                Err("snapshots have a lane of their own".to_owned())
            }
        };
        answer.unwrap_or_else(Response::Failed)
    }

    async fn append(&self, append: Append) -> Result<Response, String> {
        let previous = append.previous;
        let last = append
            .entries
            .last()
            .map(|entry| entry.position)
            .or(previous);
        let entries: Result<Vec<_>, _> =
            append.entries.into_iter().map(types::from_entry).collect();
        let request = AppendEntriesRequest::<TypeConfig> {
            vote: types::from_vote(&append.vote),
            prev_log_id: previous.map(types::log_id),
            entries: entries.map_err(|e| e.to_string())?,
            leader_commit: append.leader_commit.map(types::log_id),
        };
        let answer = self
            .raft
            .append_entries(request)
            .await
            .map_err(|e| e.to_string())?;
        if !matches!(answer, AppendEntriesResponse::HigherVote(_)) {
            self.contact.note();
        }
        Ok(Response::Append(match answer {
            AppendEntriesResponse::Success => Appended::Flushed(last),
            AppendEntriesResponse::PartialSuccess(last) => {
                Appended::Flushed(last.as_ref().map(types::position))
            }
            AppendEntriesResponse::Conflict => Appended::Conflict(
                previous.ok_or("an append from the start of the log cannot conflict")?,
            ),
            AppendEntriesResponse::HigherVote(vote) => Appended::HigherVote(types::vote(&vote)),
        }))
    }

    async fn transfer_leader(&self, request: message::TransferLeader) -> Result<Response, String> {
        let request = TransferLeaderRequest::<TypeConfig>::new(
            types::from_vote(&request.from),
            request.to,
            request.last_log.map(types::log_id),
        );
        let answer = self
            .raft
            .handle_transfer_leader(request)
            .await
            .map_err(|e| e.to_string())?;
        Ok(Response::TransferLeader(match answer {
            Ok(()) => TransferOutcome::Accepted,
            Err(TransferLeaderError::VoteChanged { expected, actual }) => {
                TransferOutcome::VoteChanged {
                    expected: types::vote(&expected),
                    actual: types::vote(&actual),
                }
            }
            Err(TransferLeaderError::LogNotFlushed { expected, actual }) => {
                TransferOutcome::LogNotFlushed {
                    expected: expected.as_ref().map(types::position),
                    actual: actual.as_ref().map(types::position),
                }
            }
        }))
    }

    fn serve_snapshots(
        self: Arc<Self>,
        peer: NodeId,
        requests: BoxStream<'static, Request>,
    ) -> BoxStream<'static, Response> {
        stream::unfold(
            (self, requests, None),
            move |(service, mut requests, incoming)| async move {
                let request = next_piece(&mut requests, incoming.is_some()).await?;
                let (response, incoming) = match service.take_piece(peer, incoming, request).await {
                    Ok(taken) => taken,
                    Err(reason) => {
                        tracing::warn!(%peer, reason, "refused a snapshot");
                        (Response::Failed(reason), None)
                    }
                };
                Some((response, (service, requests, incoming)))
            },
        )
        .boxed()
    }

    async fn take_piece(
        &self,
        peer: NodeId,
        incoming: Option<Incoming>,
        request: Request,
    ) -> Result<(Response, Option<Incoming>), String> {
        match (request, incoming) {
            (Request::SnapshotBegin(begin), before) => {
                drop(before);
                tracing::info!(%peer, last_log = ?begin.last_log, "receiving a snapshot");
                let incoming = self.begin_snapshot(begin).await?;
                Ok((Response::SnapshotProgress, Some(incoming)))
            }
            (Request::SnapshotChunk(chunk), Some(mut incoming)) => {
                let pushed = tokio::task::spawn_blocking(move || {
                    incoming.receiver.push(&chunk).map(|()| incoming)
                });
                let incoming = pushed.await.map_err(|e| e.to_string())?;
                Ok((
                    Response::SnapshotProgress,
                    Some(incoming.map_err(|e| e.to_string())?),
                ))
            }
            (Request::SnapshotEnd, Some(incoming)) => {
                let vote = self.end_snapshot(incoming).await?;
                tracing::info!(%peer, "installed a snapshot");
                Ok((Response::SnapshotInstalled(vote), None))
            }
            (other, _) => Err(format!("{other:?} does not belong here")),
        }
    }

    async fn begin_snapshot(&self, begin: SnapshotBegin) -> Result<Incoming, String> {
        let turn = self
            .receiving
            .clone()
            .try_lock_owned()
            .map_err(|_| "another snapshot is being received".to_owned())?;
        let meta = SnapshotMeta {
            last_log_id: begin.last_log.map(types::log_id),
            last_membership: types::from_stored_membership(begin.membership)
                .map_err(|e| e.to_string())?,
        };
        let receiver = self.store.receive().map_err(|e| e.to_string())?;
        Ok(Incoming {
            vote: begin.vote,
            meta,
            receiver,
            turn,
        })
    }

    async fn end_snapshot(&self, incoming: Incoming) -> Result<message::Vote, String> {
        let received = incoming.receiver.complete().map_err(|e| e.to_string())?;
        let snapshot = openraft::type_config::alias::SnapshotOf::<TypeConfig, SnapshotData> {
            meta: incoming.meta,
            snapshot: SnapshotData::Received(received, incoming.turn),
        };
        let vote = types::from_vote(&incoming.vote);
        let answer = self.raft.install_full_snapshot(vote, snapshot).await;
        answer
            .map(|response| types::vote(&response.vote))
            .map_err(|e| e.to_string())
    }
}

/// The next request. A sender that has begun a snapshot and stops sending loses its link, and with it
/// the turn to be received from.
async fn next_piece(
    requests: &mut BoxStream<'static, Request>,
    has_begun: bool,
) -> Option<Request> {
    match has_begun {
        true => tokio::time::timeout(SNAPSHOT_TIMEOUT, requests.next())
            .await
            .ok()?,
        false => requests.next().await,
    }
}

/// A snapshot that is being received.
struct Incoming {
    vote: message::Vote,
    meta: SnapshotMeta,
    receiver: SnapshotReceiver,
    turn: OwnedMutexGuard<()>,
}

fn vote_request(request: &message::VoteRequest) -> VoteRequest<TypeConfig> {
    VoteRequest {
        vote: types::from_vote(&request.vote),
        last_log_id: request.last_log.map(types::log_id),
        leadership_transfer: request.leadership_transfer,
    }
}

fn vote_response(response: VoteResponse<TypeConfig>) -> Response {
    Response::Vote(message::VoteResponse {
        vote: types::vote(&response.vote),
        granted: response.vote_granted,
        last_log: response.last_log_id.as_ref().map(types::position),
    })
}
