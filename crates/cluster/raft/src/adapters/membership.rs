//! The members as openraft knows them, and how they are changed.

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
    /// The entry that set it. `None` before the cluster is founded.
    pub(crate) position: Option<LogPosition>,
    /// Whether that entry is known to be committed.
    pub(crate) is_committed: bool,
    /// The voters; two sets during a change.
    pub(crate) configs: Vec<BTreeSet<NodeId>>,
    /// All members and their addresses.
    pub(crate) nodes: BTreeMap<NodeId, String>,
}

impl Membership {
    /// Whether a change of the voters is half done (joint consensus).
    pub(crate) fn is_joint(&self) -> bool {
        self.configs.len() > 1
    }

    /// The voters; during a change the new ones.
    pub(crate) fn voters(&self) -> BTreeSet<NodeId> {
        self.configs.last().cloned().unwrap_or_default()
    }

    /// Whether `node` votes; during a change, whether it votes before or after it.
    pub(crate) fn is_voter(&self, node: NodeId) -> bool {
        self.configs.iter().any(|voters| voters.contains(&node))
    }
}

/// A change of the members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MembersChange {
    /// Makes these nodes the voters. A former voter becomes a learner, or is removed if `retain` is
    /// false.
    Voters {
        voters: BTreeSet<NodeId>,
        retain: bool,
    },
    /// Completes a half-done change. A node that no longer votes becomes a learner.
    LeaveJoint,
    /// Adds this node as a learner with this address.
    AddLearner(NodeId, String),
    /// Changes the address of a member.
    Move(NodeId, String),
    /// Removes this learner.
    RemoveLearner(NodeId),
}

impl Raft {
    /// Yields when something other than the log has changed, such as the members. Ends when Raft
    /// has stopped.
    pub(crate) fn changes(&self) -> BoxStream<'static, ()> {
        let changes = stream::unfold(self.openraft.server_metrics(), |mut metrics| async {
            metrics.changed().await.ok()?;
            Some(((), metrics))
        });
        changes.boxed()
    }

    /// The members in effect: those of the last entry that sets them, committed or not.
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

    /// Starts a change of the voters, and leaves it half done.
    #[cfg(test)]
    pub(crate) async fn begin_joint(&self, voters: BTreeSet<NodeId>) {
        let membership = self.membership();
        let mut configs = membership.configs;
        configs.push(voters);
        let joint = openraft::Membership::new(configs, membership.nodes).unwrap();
        let blank = openraft::EntryPayload::Blank;
        // Needed first: the leader must have committed an entry of its own.
        self.read_index().await.unwrap();
        let appended = self.openraft.append_membership(joint, blank, []).await;
        appended.unwrap();
    }

    /// Changes the members, if those in effect are still from the entry at `known`. Resolves when
    /// the change is committed, which needs a live majority. Fails if another change is in progress
    /// or the node does not lead.
    pub(crate) async fn change_members(
        &self,
        change: MembersChange,
        known: Option<LogPosition>,
    ) -> Result<(), Problem> {
        let (change, retain) = match change {
            MembersChange::Voters { voters, retain } => {
                (ChangeMembers::ReplaceAllVoters(voters), retain)
            }
            MembersChange::LeaveJoint => (ChangeMembers::AddVoterIds(BTreeSet::new()), true),
            MembersChange::AddLearner(node, address) => {
                (ChangeMembers::AddNodes([(node, address)].into()), true)
            }
            MembersChange::Move(node, address) => {
                (ChangeMembers::SetNodes([(node, address)].into()), true)
            }
            MembersChange::RemoveLearner(node) => (ChangeMembers::RemoveNodes([node].into()), true),
        };
        let unchanged = Precondition::LastMembershipLogId {
            last_membership_log_id: known.into_openraft(),
        };
        let changed = self
            .openraft
            .change_membership_if(change, retain, [unchanged])
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
