//! The members as openraft knows them, and changes of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use openraft::{
    ChangeMembers, Instant,
    async_runtime::WatchReceiver,
    errors::{ChangeMembershipError, ClientWriteError, RaftError},
    raft::Precondition,
    type_config::alias::WatchReceiverOf,
};
use quorate_peer::NodeId;
use quorate_state::{LogIndex, LogPosition};

use super::{
    conversions::{IntoOpenraft, IntoOurs},
    raft::Raft,
    types::TypeConfig,
};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Membership {
    /// The entry that has brought it. `None` before the cluster is founded.
    pub(crate) position: Option<LogPosition>,
    /// Whether that is known to be committed.
    pub(crate) is_committed: bool,
    /// The voters; two sets during a change.
    pub(crate) configs: Vec<BTreeSet<NodeId>>,
    /// All members, and where they are.
    pub(crate) nodes: BTreeMap<NodeId, String>,
}

impl Membership {
    /// Whether a change is half made.
    pub(crate) fn is_joint(&self) -> bool {
        self.configs.len() > 1
    }

    /// The voters; during a change those that there will be.
    pub(crate) fn voters(&self) -> BTreeSet<NodeId> {
        self.configs.last().cloned().unwrap_or_default()
    }

    /// Whether `node` votes, before or after a change that is half made.
    pub(crate) fn is_voter(&self, node: NodeId) -> bool {
        self.configs.iter().any(|voters| voters.contains(&node))
    }
}

/// How far a member has come, as its leader knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// The last entry that its log shares with the leader's.
    pub(crate) matching: LogIndex,
    /// The time since it last acknowledged a heartbeat.
    pub(crate) ack_age: Option<Duration>,
}

/// A change of the members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MembersChange {
    /// These vote, and whoever did and shall not is a learner, or no member if `retain` is false.
    Voters {
        voters: BTreeSet<NodeId>,
        retain: bool,
    },
    /// Completes a change that is half made. Whoever votes no more is a learner.
    Flatten,
    /// This node is a learner, and there.
    AddLearner(NodeId, String),
    Move(NodeId, String),
    /// This learner is no member any more.
    RemoveLearner(NodeId),
}

/// Why the members have not changed, as far as is known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MembersError {
    #[error("this node does not lead any more")]
    NotLeader,
    #[error("another change of the members is under way")]
    Busy,
    #[error("{0}")]
    Failed(String),
}

/// Tells when something beside the log has changed, the members among it.
pub(crate) struct Changes(
    WatchReceiverOf<TypeConfig, openraft::metrics::RaftServerMetrics<TypeConfig>>,
);

impl Changes {
    /// Resolves when something has changed since the last call. False when Raft has stopped.
    pub(crate) async fn next(&mut self) -> bool {
        self.0.changed().await.is_ok()
    }
}

impl Raft {
    /// What changes from now on.
    pub(crate) fn changes(&self) -> Changes {
        Changes(self.openraft.server_metrics())
    }

    /// The members that are in effect: those of the last entry that names them, committed or not.
    pub(crate) fn membership(&self) -> Membership {
        let metrics = self.openraft.metrics();
        let metrics = metrics.borrow_watched();
        let stored = &metrics.membership_config;
        let nodes = stored.nodes().map(|(id, address)| (*id, address.clone()));
        Membership {
            position: stored.log_id().into_ours(),
            is_committed: stored.log_id().is_some() && metrics.local_committed >= *stored.log_id(),
            configs: stored.membership().get_joint_config().clone(),
            nodes: nodes.collect(),
        }
    }

    /// At the leader: how far each other member has come.
    pub(crate) fn progress(&self) -> BTreeMap<NodeId, Progress> {
        let metrics = self.openraft.metrics();
        let metrics = metrics.borrow_watched();
        let replication = metrics.replication.iter().flatten();
        let progress = replication.map(|(node, matching)| {
            let acked = metrics.heartbeat.as_ref().and_then(|acks| acks.get(node));
            let matching = (*matching).map_or(LogIndex(0), |id| LogIndex(id.index()));
            let progress = Progress {
                matching,
                ack_age: acked.and_then(|at| at.as_ref()).map(|at| at.elapsed()),
            };
            (*node, progress)
        });
        progress.collect()
    }

    /// Begins a change of the voters, and leaves it half made.
    #[cfg(test)]
    pub(crate) async fn begin_joint(&self, voters: BTreeSet<NodeId>) {
        let membership = self.membership();
        let mut configs = membership.configs;
        configs.push(voters);
        let joint = openraft::Membership::new(configs, membership.nodes).unwrap();
        let blank = openraft::EntryPayload::Blank;
        // Not before this leader has committed an entry of its own.
        self.read_index().await.unwrap();
        let begun = self.openraft.append_membership(joint, blank, []).await;
        begun.unwrap();
    }

    /// Changes the members, if those that are in effect are still the ones that the entry at `known`
    /// has brought. Resolves when the change is committed, which needs a majority that lives.
    pub(crate) async fn change_members(
        &self,
        change: MembersChange,
        known: Option<LogPosition>,
    ) -> Result<(), MembersError> {
        let (change, retain) = match change {
            MembersChange::Voters { voters, retain } => {
                (ChangeMembers::ReplaceAllVoters(voters), retain)
            }
            MembersChange::Flatten => (ChangeMembers::AddVoterIds(BTreeSet::new()), true),
            MembersChange::AddLearner(node, address) => {
                (ChangeMembers::AddNodes([(node, address)].into()), true)
            }
            MembersChange::Move(node, address) => {
                (ChangeMembers::SetNodes([(node, address)].into()), true)
            }
            MembersChange::RemoveLearner(node) => (ChangeMembers::RemoveNodes([node].into()), true),
        };
        let as_known = Precondition::LastMembershipLogId {
            last_membership_log_id: known.into_openraft(),
        };
        let changed = self
            .openraft
            .change_membership_if(change, retain, [as_known])
            .await;
        match changed {
            Ok(_) => Ok(()),
            Err(RaftError::APIError(error)) => Err(match error {
                ClientWriteError::ForwardToLeader(_) | ClientWriteError::LogEntryDiscarded(_) => {
                    MembersError::NotLeader
                }
                ClientWriteError::PreconditionFailed(_)
                | ClientWriteError::ChangeMembershipError(ChangeMembershipError::InProgress(_)) => {
                    MembersError::Busy
                }
                other => MembersError::Failed(other.to_string()),
            }),
            Err(RaftError::Fatal(error)) => Err(MembersError::Failed(error.to_string())),
        }
    }
}
