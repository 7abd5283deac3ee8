//! Proposing commands as the leader.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use openraft::{ReadPolicy, errors::ClientWriteError, impls::ProgressResponder};
use quorate_state::{Command, LogIndex, Outcome, PutBatch, UnixMillis};

use quorate_rpc::message::{Proposed, WireOutcome};

use crate::{
    node::Raft,
    types::{EncodedCommand, TypeConfig},
};

/// Proposes commands. Every method refuses when this node does not lead.
pub(crate) struct Proposer {
    raft: Raft,
}

/// What became of a proposal.
pub(crate) enum Proposal {
    /// Applied here, as entry `index`.
    Applied { index: LogIndex, outcome: Outcome },
    /// Surely not appended.
    Refused,
    /// Appended, but whether it is committed is unknown.
    Unknown,
}

impl Proposer {
    pub(crate) fn new(raft: Raft) -> Self {
        Self { raft }
    }

    /// Proposes a batch that a follower forwarded, stamped with this node's clock.
    pub(crate) async fn propose(&self, batch: Bytes) -> Proposed {
        let Ok(Command::PutBatch(batch)) = Command::decode(batch) else {
            tracing::error!("refused a forwarded batch that cannot be decoded");
            return Proposed::Refused;
        };
        match self.propose_batch(batch).await {
            Proposal::Applied {
                index,
                outcome: Outcome::Put(outcomes),
            } => {
                let outcomes = outcomes.into_iter().map(WireOutcome::from).collect();
                Proposed::Applied { index, outcomes }
            }
            Proposal::Applied { .. } | Proposal::Unknown => Proposed::Unknown,
            Proposal::Refused => Proposed::Refused,
        }
    }

    /// Proposes a batch, stamped with this node's clock.
    pub(crate) async fn propose_batch(&self, batch: PutBatch) -> Proposal {
        self.propose_command(Command::PutBatch(PutBatch {
            now: now(),
            ..batch
        }))
        .await
    }

    /// Proposes a command as it is.
    pub(crate) async fn propose_command(&self, command: Command) -> Proposal {
        if !self.raft.is_leader() {
            return Proposal::Refused;
        }
        let (responder, done) = ProgressResponder::<TypeConfig, _>::complete_only();
        let command = EncodedCommand(command.encode());
        if self
            .raft
            .client_write_ff(command, Some(responder))
            .await
            .is_err()
        {
            return Proposal::Unknown;
        }
        match done.await {
            Ok(Ok(response)) => match response.data {
                Some(outcome) => Proposal::Applied {
                    index: LogIndex(response.log_id.index()),
                    outcome,
                },
                None => Proposal::Unknown,
            },
            Ok(Err(ClientWriteError::ForwardToLeader(_))) => Proposal::Refused,
            Ok(Err(_)) | Err(_) => Proposal::Unknown,
        }
    }

    /// The index that a read must have applied to see everything committed before now, or `None`
    /// when this node cannot confirm that it leads.
    pub(crate) async fn read_index(&self) -> Option<LogIndex> {
        let linearizer = self
            .raft
            .get_read_linearizer(ReadPolicy::ReadIndex)
            .await
            .ok()?;
        Some(LogIndex(linearizer.read_log_id().log_id().index()))
    }
}

/// This node's clock.
pub(crate) fn now() -> UnixMillis {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    UnixMillis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}
