//! Proposing batches as the leader.

use bytes::Bytes;
use quorate_rpc::message::{Proposed, WireOutcome};
use quorate_state::{Command, Outcome, PutBatch};

use crate::{
    adapters::{Proposal, Raft},
    clock::now,
};

/// Proposes batches, stamped with this node's clock. Refuses them when this node does not lead.
#[derive(Clone)]
pub(crate) struct Proposer {
    pub(crate) raft: Raft,
}

impl Proposer {
    /// Proposes a batch that a follower forwarded.
    pub(crate) async fn propose_forwarded(&self, batch: Bytes) -> Proposed {
        let Ok(Command::PutBatch(batch)) = Command::decode(batch) else {
            tracing::error!("refused a forwarded batch that cannot be decoded");
            return Proposed::Refused;
        };
        match self.propose(batch).await {
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

    /// Proposes a batch of this node's.
    pub(crate) async fn propose(&self, batch: PutBatch) -> Proposal {
        let stamped = PutBatch {
            now: now(),
            ..batch
        };
        self.raft.propose(Command::PutBatch(stamped).encode()).await
    }
}
