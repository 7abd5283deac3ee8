//! The members as openraft knows them, and changes of them.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use openraft::{
    ChangeMembers,
    async_runtime::WatchReceiver,
    errors::{ChangeMembershipError, ClientWriteError, RaftError},
    raft::Precondition,
};
use quorate_api::Problem;
use quorate_peer::NodeId;
use quorate_state::LogPosition;

use super::{
    conversions::{IntoOpenraft, IntoOurs},
    raft::Raft,
};
use crate::membership::problems::{busy, failed, no_leader};

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

impl Raft {
    /// Tells when something beside the log has changed, the members among it. Ends when Raft has
    /// stopped.
    pub(crate) fn changes(&self) -> BoxStream<'static, ()> {
        let changes = stream::unfold(self.openraft.server_metrics(), |mut metrics| async {
            metrics.changed().await.ok()?;
            Some(((), metrics))
        });
        changes.boxed()
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
    ) -> Result<(), Problem> {
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
                    no_leader()
                }
                ClientWriteError::PreconditionFailed(_)
                | ClientWriteError::ChangeMembershipError(ChangeMembershipError::InProgress(_)) => {
                    busy()
                }
                other => failed(other.to_string()),
            }),
            Err(RaftError::Fatal(error)) => Err(failed(error.to_string())),
        }
    }
}
