//! What a node answers and changes with while it leads, and asks the leader with while another does.

use std::{ops::Deref, sync::Arc, time::Duration};

use quorate_replica::Role;
use quorate_state::{ClusterState, UnixMillis};
use tokio::{sync::Mutex, time::Instant};

use quorate_api::{Member, Problem};
use quorate_peer::NodeId;

use super::{membership_snapshot::MembershipSnapshot, problems::no_leader};
use crate::{adapters::View, parts::Parts};

/// How many of the longest election timeouts a member may be silent that counts as alive: a machine
/// that is busy is not gone.
pub(crate) const SILENT_ELECTION_TIMEOUTS: u32 = 3;

/// Answers operators and nodes: by itself while this node leads, else by asking the leader.
pub(crate) struct Admin {
    pub(crate) parts: Arc<Parts>,
    /// Held during a change: there is one at a time.
    pub(crate) change_lock: Mutex<()>,
}

/// One request, or one look of the reconciler, which has until this moment.
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

    /// How the members are now, as this leader knows.
    pub(super) fn membership_snapshot(&self) -> MembershipSnapshot {
        let View {
            followers,
            last_log,
            ..
        } = self.parts.raft.view();
        let others = followers.into_iter().map(|other| (other.node, other));
        let (membership, silence_max) = (self.parts.raft.membership(), self.silence_max());
        let not_electable = membership.nodes.keys().filter_map(|node| {
            let not_electable = self.parts.gossip.not_electable_of(*node, silence_max)?;
            Some((*node, not_electable))
        });
        MembershipSnapshot {
            not_electable: not_electable.collect(),
            leader: self.parts.config.node,
            others: others.collect(),
            membership,
            node_registry: self.cluster().node_registry,
            last_log,
            silence_max,
        }
    }

    /// `node` as a member, with what it told of feature levels.
    pub(super) fn member(&self, snapshot: &MembershipSnapshot, node: NodeId) -> Member {
        Member {
            level: self.parts.gossip.level(node).map(|level| level.0),
            level_hold: self.parts.gossip.holds_level(node),
            ..snapshot.member(node)
        }
    }

    /// How long ago a member may have been heard that counts as alive.
    pub(super) fn silence_max(&self) -> Duration {
        self.parts.config.election_timeout_max() * SILENT_ELECTION_TIMEOUTS
    }

    /// What the cluster has agreed on.
    pub(super) fn cluster(&self) -> ClusterState {
        self.parts.state_machine.meta().cluster.clone()
    }

    pub(super) fn leads(&self) -> bool {
        self.parts.raft.view().role == Role::Leader
    }

    /// Fails while the cluster is being founded.
    pub(super) fn check_founded(&self) -> Result<(), Problem> {
        let id = self.cluster().id;
        id.map(drop).ok_or_else(no_leader)
    }

    pub(super) fn now(&self) -> UnixMillis {
        self.parts.gossip.time().time
    }
}
