//! The entry to all administration requests: the leader handles them, other nodes forward them.

use std::{ops::Deref, sync::Arc, time::Duration};

use quorate_replica::Role;
use quorate_state::{ClusterState, UnixMillis};
use tokio::{sync::Mutex, time::Instant};

use quorate_api::{Member, Problem, ProblemType};
use quorate_clock::Stamp;
use quorate_peer::NodeId;

use super::{membership_snapshot::MembershipSnapshot, problems::no_leader};
use crate::{adapters::RaftView, node_context::NodeContext};

/// A member counts as alive until it was silent for this many times the longest election timeout: a
/// busy machine is not gone.
pub(crate) const SILENT_ELECTION_TIMEOUTS: u32 = 3;

/// Answers operators and nodes: on its own while this node leads, else with the leader's answer.
pub(crate) struct Admin {
    pub(crate) context: Arc<NodeContext>,
    /// Locked during a change of the members: there is one at a time.
    pub(crate) change_lock: Mutex<()>,
}

/// One request, or one step of the reconciler, with its deadline.
pub(super) struct LeaderTask<'a> {
    admin: &'a Admin,
    pub(super) deadline: Instant,
}

impl Deref for LeaderTask<'_> {
    type Target = Admin;

    fn deref(&self) -> &Admin {
        self.admin
    }
}

impl Admin {
    pub(super) fn task(&self, deadline: Instant) -> LeaderTask<'_> {
        LeaderTask {
            admin: self,
            deadline,
        }
    }

    /// The state of the members now, as this leader knows it.
    pub(super) fn membership_snapshot(&self) -> MembershipSnapshot {
        let RaftView {
            followers,
            last_log,
            ..
        } = self.context.raft.view();
        let others = followers.into_iter().map(|other| (other.node, other));
        let (membership, silence_max) = (self.context.raft.membership(), self.silence_max());
        let not_electable = membership.nodes.keys().filter_map(|node| {
            let not_electable = self.context.gossip.not_electable_of(*node, silence_max)?;
            Some((*node, not_electable))
        });
        MembershipSnapshot {
            not_electable: not_electable.collect(),
            leader: self.context.config.node,
            others: others.collect(),
            membership,
            node_registry: self.cluster().node_registry,
            last_log,
            silence_max,
        }
    }

    /// `node` as a member, with the feature levels that it reported.
    pub(super) fn member(&self, snapshot: &MembershipSnapshot, node: NodeId) -> Member {
        Member {
            level: self.context.gossip.level(node).map(|level| level.0),
            level_hold: self.context.gossip.holds_level(node),
            ..snapshot.member(node)
        }
    }

    /// A member counts as alive if it was last heard from no longer ago than this.
    pub(super) fn silence_max(&self) -> Duration {
        self.context.config.election_timeout_max() * SILENT_ELECTION_TIMEOUTS
    }

    /// The replicated state of the cluster, as applied here.
    pub(super) fn cluster(&self) -> ClusterState {
        self.context.state_machine.meta().cluster.clone()
    }

    pub(super) fn leads(&self) -> bool {
        self.context.raft.view().role == Role::Leader
    }

    /// Fails while the cluster is being founded.
    pub(super) fn check_founded(&self) -> Result<(), Problem> {
        let id = self.cluster().id;
        id.map(drop).ok_or_else(no_leader)
    }

    pub(super) fn now(&self) -> UnixMillis {
        self.context.gossip.time().time
    }

    /// The stamp for a command. Fails while a majority disagrees with the clock of this node.
    pub(super) fn stamp(&self) -> Result<Stamp, Problem> {
        let detail = "a majority disagrees with the clock of the leader: wait for another one";
        let stamp = self.context.gossip.stamp();
        stamp.ok_or_else(|| Problem::new(ProblemType::Unavailable, detail))
    }
}
