//! Standing for election before the time, against a leader that is gone.

use openraft::raft::TransferLeaderRequest;
use quorate_peer::message;
use tokio::time::Instant;

use super::{
    conversions::{IntoOpenraft, IntoOurs},
    raft::Raft,
};

impl Raft {
    /// When this node last took a message of a leader.
    pub(crate) fn leader_contact(&self) -> Instant {
        *self.leader_contact.borrow()
    }

    /// The last vote of this node, once it has done all that it was asked before. `None` when Raft
    /// has stopped.
    pub(crate) async fn vote(&self) -> Option<message::Vote> {
        let vote = self.openraft.with_raft_state(|state| *state.vote_ref());
        vote.await.ok().map(IntoOurs::into_ours)
    }

    /// Lets go of the lease of the leader that this node voted for last, if that is `vote`: it may
    /// vote for another from now on. openraft gives a lease back with the next term, not with the
    /// next heartbeat.
    pub(crate) async fn release_lease(&self, vote: message::Vote) {
        // What a leader that hands over says to those that shall not succeed it. Nothing else makes
        // openraft let go of a lease.
        let request = TransferLeaderRequest::new(vote.into_openraft(), vote.node, None);
        let _ = self.openraft.handle_transfer_leader(request).await;
    }

    /// Asks the others whether they would elect this node, and if a majority would, to do so. Does
    /// nothing while it holds the lease of a leader.
    pub(crate) async fn stand(&self) {
        let _ = self.openraft.trigger().elect(true).await;
    }

    /// Has this node stand for election at once.
    #[cfg(test)]
    pub(crate) async fn elect(&self) {
        self.openraft.trigger().elect(false).await.unwrap();
    }
}
