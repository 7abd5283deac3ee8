//! The state of consensus.

use std::time::Duration;

use openraft::{Instant, RaftMetrics, ServerState};
use quorate_peer::NodeId;
use quorate_replica::Role;
use quorate_state::{LogIndex, Term};

use super::types::{LogId, TypeConfig};
use crate::FatalError;

/// The state of consensus at this node at one time. An index of 0 means no entry.
pub(crate) struct RaftView {
    pub(crate) role: Role,
    pub(crate) term: Term,
    /// The last known leader of this term, and its address. It may be gone.
    pub(crate) leader: Option<(NodeId, String)>,
    /// The last entry in the local log.
    pub(crate) last_log: LogIndex,
    /// The last entry this node knows to be committed.
    pub(crate) committed: LogIndex,
    /// The last entry applied to the local replica.
    pub(crate) applied: LogIndex,
    /// The last entry in the checkpoint.
    pub(crate) checkpoint: LogIndex,
    /// The last entry removed from the log.
    pub(crate) purged: LogIndex,
    /// The voters, this node among them if it is one.
    pub(crate) voters: Vec<NodeId>,
    /// At the leader: all other members.
    pub(crate) followers: Vec<Follower>,
    /// At the leader: the time since a quorum last acknowledged it.
    pub(crate) quorum_ack_age: Option<Duration>,
    /// At the leader: whether it has committed an entry of its own term. Before that it does not
    /// know all that is committed (Raft paper, section 8).
    pub(crate) knows_committed: bool,
    /// The time since this node last accepted a message of a leader.
    pub(crate) leader_contact_age: Duration,
    /// Why replication has stopped on its own, if it has.
    pub(crate) failure: Option<FatalError>,
}

/// A member as its leader knows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Follower {
    pub(crate) node: NodeId,
    /// The last entry that its log shares with the leader's; 0 if none is known.
    pub(crate) match_index: LogIndex,
    /// The time since it last acknowledged a heartbeat.
    pub(crate) ack_age: Option<Duration>,
}

impl RaftView {
    pub(super) fn new(metrics: &RaftMetrics<TypeConfig>, leader_contact_age: Duration) -> Self {
        let members = &metrics.membership_config;
        let leader = metrics.current_leader.map(|id| {
            let address = members.get_node(&id).cloned();
            (id, address.unwrap_or_default())
        });
        let followers = metrics
            .replication
            .iter()
            .flatten()
            .map(|(node, match_index)| {
                let acked = metrics.heartbeat.as_ref().and_then(|acks| acks.get(node));
                Follower {
                    node: *node,
                    match_index: index(*match_index),
                    ack_age: acked.and_then(|at| at.as_ref()).map(|at| at.elapsed()),
                }
            });
        let followers = followers.filter(|follower| follower.node != metrics.id);
        let running = metrics.running_state.as_ref();
        Self {
            role: match metrics.state {
                ServerState::Leader => Role::Leader,
                ServerState::Follower => Role::Follower,
                ServerState::Candidate => Role::Candidate,
                ServerState::Learner => Role::Learner,
                ServerState::Shutdown => Role::Stopped,
            },
            term: Term(metrics.current_term),
            leader,
            last_log: LogIndex(metrics.last_log_index.unwrap_or_default()),
            committed: index(metrics.local_committed),
            applied: index(metrics.last_applied),
            checkpoint: index(metrics.snapshot),
            purged: index(metrics.purged),
            followers: followers.collect(),
            voters: members.voter_ids().collect(),
            quorum_ack_age: metrics.last_quorum_acked.map(|at| at.elapsed()),
            knows_committed: metrics.local_committed.is_some_and(|committed| {
                committed.committed_leader_id().term == metrics.current_term
            }),
            leader_contact_age,
            failure: running
                .err()
                .map(|error| FatalError::Replication(error.to_string())),
        }
    }

    /// At the leader: how many entries the slowest voter lacks, as far as it knows.
    pub(crate) fn replication_lag(&self) -> Option<u64> {
        let followers = self.voting_followers();
        followers
            .map(|follower| follower.match_index.lag_behind(self.last_log))
            .max()
    }

    pub(crate) fn voting_followers(&self) -> impl Iterator<Item = &Follower> {
        let followers = self.followers.iter();
        followers.filter(|follower| self.voters.contains(&follower.node))
    }
}

fn index(id: Option<LogId>) -> LogIndex {
    id.map_or(LogIndex(0), |id| LogIndex(id.index()))
}
