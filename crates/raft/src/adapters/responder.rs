//! What this node answers to the Raft messages of its peers.

use openraft::raft::AppendEntriesResponse;
use quorate_rpc::message::{Append, Appended, Request, Response};
use tokio::time::Instant;

use super::{
    conversions::{IntoOpenraft, IntoOurs},
    raft::Raft,
};
use crate::error::BoxError;

impl Raft {
    /// The response to a message of Raft's. Snapshots are for
    /// [`receive_snapshots`](Self::receive_snapshots).
    pub(crate) async fn answer(&self, request: Request) -> Response {
        self.try_answer(request)
            .await
            .unwrap_or_else(|error| Response::Failed(error.to_string()))
    }

    async fn try_answer(&self, request: Request) -> Result<Response, BoxError> {
        let raft = &self.openraft;
        match request {
            Request::Append(append) => self.append(append).await.map(Response::Append),
            Request::Vote(request) => {
                let response = raft.vote(request.into_openraft()).await?;
                Ok(Response::Vote(response.into_ours()))
            }
            Request::PreVote(request) => {
                let response = raft.pre_vote(request.into_openraft()).await?;
                Ok(Response::Vote(response.into_ours()))
            }
            Request::TransferLeader(request) => {
                let response = raft.handle_transfer_leader(request.into_openraft());
                Ok(Response::TransferLeader(response.await?.into_ours()))
            }
            Request::SnapshotBegin(_) | Request::SnapshotChunk(_) | Request::SnapshotEnd => {
                Err("snapshots have a lane of their own".into())
            }
            Request::Propose(_) | Request::ReadIndex => Err("this is no message of Raft's".into()),
        }
    }

    async fn append(&self, append: Append) -> Result<Appended, BoxError> {
        let previous = append.previous;
        let last = append.entries.last().map(|entry| entry.position);
        let answer = self
            .openraft
            .append_entries(append.into_openraft()?)
            .await?;
        if !matches!(answer, AppendEntriesResponse::HigherVote(_)) {
            self.leader_contact.send_replace(Instant::now());
        }
        Ok(match answer {
            AppendEntriesResponse::Success => Appended::Flushed(last.or(previous)),
            AppendEntriesResponse::PartialSuccess(last) => Appended::Flushed(last.into_ours()),
            AppendEntriesResponse::Conflict => Appended::Conflict(
                previous.ok_or("an append from the start of the log cannot conflict")?,
            ),
            AppendEntriesResponse::HigherVote(vote) => Appended::HigherVote(vote.into_ours()),
        })
    }
}
