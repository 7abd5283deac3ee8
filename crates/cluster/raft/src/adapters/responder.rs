//! Answers the Raft messages of peers.

use openraft::{
    errors::RaftError,
    raft::{AppendEntriesRequest, AppendEntriesResponse, TransferLeaderRequest, VoteResponse},
};
use quorate_peer::message::{self, Append, Appended, Request, Response};
use tokio::time::Instant;

use super::{
    conversions::{IntoOpenraft, IntoOurs},
    raft::Raft,
    types::TypeConfig,
};
use crate::error::BoxError;

type Answer = Result<Response, BoxError>;
type AppendResult = Result<AppendEntriesResponse<TypeConfig>, RaftError<TypeConfig>>;

impl Raft {
    /// The response to a message of Raft. Snapshots are handled by
    /// [`receive_snapshots`](Self::receive_snapshots).
    pub(crate) async fn answer(&self, request: Request) -> Response {
        let answer = match request {
            Request::Append(append) => self.append(append).await,
            Request::Vote(request) => voted(self.openraft.vote(request.into_openraft()).await),
            Request::PreVote(request) => {
                voted(self.openraft.pre_vote(request.into_openraft()).await)
            }
            Request::TransferLeader(request) => self.transfer_leader(request).await,
            _ => Err("a request that belongs to another kind of stream".into()),
        };
        answer.unwrap_or_else(|error| Response::Failed(error.to_string()))
    }

    /// Appends entries. Without space, entries are rejected before Raft receives them: the leader
    /// treats that as a failure of the network, and sends them again. Heartbeats have no entries.
    async fn append(&self, append: Append) -> Answer {
        if !self.space.accepts(&append.entries, self.view().last_log) {
            return Err(self.space.wait_before_rejection().await.into());
        }
        let previous = append.previous;
        let last = append.entries.last().map(|entry| entry.position);
        let entries = append
            .entries
            .into_iter()
            .map(message::Entry::into_openraft);
        let request = AppendEntriesRequest {
            vote: append.vote.into_openraft(),
            prev_log_id: previous.into_openraft(),
            entries: entries.collect::<Result<_, _>>()?,
            leader_commit: append.leader_commit.into_openraft(),
        };
        let answer = match request.entries.is_empty() {
            true => self.heartbeat(request).await?,
            false => self.openraft.append_entries(request).await?,
        };
        if !matches!(answer, AppendEntriesResponse::HigherVote(_)) {
            self.leader_contact.send_replace(Instant::now());
        }
        Ok(Response::Append(match answer {
            AppendEntriesResponse::Success => Appended::Flushed(last.or(previous)),
            AppendEntriesResponse::PartialSuccess(last) => Appended::Flushed(last.into_ours()),
            AppendEntriesResponse::Conflict => Appended::Conflict(
                previous.ok_or("an append from the start of the log cannot conflict")?,
            ),
            AppendEntriesResponse::HigherVote(vote) => Appended::HigherVote(vote.into_ours()),
        }))
    }

    /// Answers a heartbeat. openraft answers it when everything before it is on disk. If that is
    /// already on disk, it is answered immediately: a leader whose heartbeats wait for busy disks
    /// believes that it was replaced, and stops sending.
    async fn heartbeat(&self, request: AppendEntriesRequest<TypeConfig>) -> AppendResult {
        let (vote, previous) = (request.vote, request.prev_log_id);
        let flushed = self.openraft.watch_log_progress().get();
        let is_flushed = flushed.is_some_and(|at| at.vote == vote && at.last_log_id >= previous);
        // Requested after the heartbeat, so it is the state after the heartbeat. openraft answers a
        // conflict earlier.
        let is_accepted = self
            .openraft
            .with_raft_state(move |state| *state.vote_ref() == vote);
        tokio::select! {
            biased;
            answer = self.openraft.append_entries(request) => answer,
            Ok(true) = is_accepted, if is_flushed => Ok(AppendEntriesResponse::Success),
        }
    }

    async fn transfer_leader(&self, request: message::TransferLeader) -> Answer {
        let request = TransferLeaderRequest::new(
            request.from.into_openraft(),
            request.to,
            request.last_log.into_openraft(),
        );
        let answer = self.openraft.handle_transfer_leader(request).await?;
        Ok(Response::TransferLeader(answer.into_ours()))
    }
}

fn voted(answer: Result<VoteResponse<TypeConfig>, RaftError<TypeConfig>>) -> Answer {
    Ok(Response::Vote(answer?.into_ours()))
}
