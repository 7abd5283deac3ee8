//! Proposing batches as the leader.

use bytes::Bytes;
use quorate_rpc::message::Proposed;
use quorate_state::{Command, Outcome, PutBatch};

use crate::{
    adapters::{Proposal, Raft},
    clock::now,
};

/// Proposes a batch, stamped with this node's clock. Refuses it when this node does not lead.
pub(crate) async fn propose(raft: &Raft, batch: PutBatch) -> Proposed {
    let stamped = Command::PutBatch(PutBatch {
        now: now(),
        ..batch
    });
    match raft.propose(stamped.encode()).await {
        Proposal::Applied {
            index,
            outcome: Outcome::Put(outcomes),
        } => Proposed::Applied { index, outcomes },
        Proposal::Applied { .. } | Proposal::Unknown => Proposed::Unknown,
        Proposal::Refused => Proposed::Refused,
    }
}

/// Proposes a batch that a follower forwarded, likewise.
pub(crate) async fn propose_forwarded(raft: &Raft, batch: Bytes) -> Proposed {
    match Command::decode(batch) {
        Ok(Command::PutBatch(batch)) => propose(raft, batch).await,
        _ => {
            tracing::error!("refused a forwarded batch that cannot be decoded");
            Proposed::Refused
        }
    }
}
