//! What a node answers and changes with while it leads, and asks the leader with while another does.

use std::{ops::Deref, sync::Arc, time::Duration};

use quorate_replica::Role;
use quorate_state::{ClusterState, UnixMillis};
use tokio::{sync::Mutex, time::Instant};

use quorate_api::{Member, Problem};
use quorate_peer::NodeId;

use super::{refusals::no_leader, standing::Standing};
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

/// One request, or one look of the upkeep, which has until this moment.
pub(super) struct Order<'a> {
    admin: &'a Admin,
    pub(super) until: Instant,
}

impl Deref for Order<'_> {
    type Target = Admin;

    fn deref(&self) -> &Admin {
        self.admin
    }
}

impl Admin {
    pub(super) fn order(&self, until: Instant) -> Order<'_> {
        Order { admin: self, until }
    }

    /// How the members are now, as this leader knows.
    pub(super) fn standing(&self) -> Standing {
        let View {
            followers,
            last_log,
            ..
        } = self.parts.raft.view();
        let others = followers.into_iter().map(|other| (other.node, other));
        let (membership, silence_max) = (self.parts.raft.membership(), self.silence_max());
        let unfit = membership.nodes.keys().filter_map(|node| {
            let unfit = self.parts.exchange.unfit_of(*node, silence_max)?;
            Some((*node, unfit))
        });
        Standing {
            unfit: unfit.collect(),
            leader: self.parts.config.node,
            others: others.collect(),
            membership,
            roll: self.cluster().roll,
            last_log,
            silence_max,
        }
    }

    /// `node` as a member, with what it told of feature levels.
    pub(super) fn member(&self, standing: &Standing, node: NodeId) -> Member {
        Member {
            level: self.parts.exchange.level(node).map(|level| level.0),
            level_hold: self.parts.exchange.holds_level(node),
            ..standing.member(node)
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
        self.parts.exchange.time().time
    }
}
