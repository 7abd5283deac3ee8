//! What the leader knows when it answers.

use std::{ops::Deref, sync::Arc, time::Duration};

use quorate_peer::NodeId;
use quorate_replica::Role;
use quorate_state::{ClusterState, UnixMillis};
use quorate_store::Meta;
use tokio::{
    sync::{Mutex, watch},
    time::Instant,
};

use quorate_api::Problem;

use super::{
    refusals::no_leader,
    standing::{Other, Standing},
};
use crate::{
    RaftConfig, adapters::Raft, clocks::exchange::Exchange, leadership::handover::Handover,
};

/// How many of the longest election timeouts a member may be silent that counts as alive: a machine
/// that is busy is not gone.
const SILENT_ELECTION_TIMEOUTS: u32 = 3;

/// What a node answers and changes with while it leads.
pub(crate) struct Admin {
    pub(crate) config: RaftConfig,
    pub(crate) raft: Raft,
    pub(crate) exchange: Arc<Exchange>,
    pub(crate) applied: watch::Receiver<Meta>,
    pub(crate) handover: Handover,
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
        let progress = self.raft.progress();
        let membership = self.raft.membership();
        let others = membership
            .nodes
            .keys()
            .filter(|id| **id != self.config.node);
        let other = |node: &NodeId| {
            let progress = progress.get(node).copied().unwrap_or_default();
            let other = Other {
                matching: progress.matching,
                silence: progress.ack_age,
            };
            (*node, other)
        };
        Standing {
            leader: self.config.node,
            others: others.map(other).collect(),
            membership,
            roll: self.cluster().roll,
            last_log: self.raft.view().last_log,
            silence_max: self.silence_max(),
        }
    }

    /// How long ago a member may have been heard that counts as alive.
    pub(super) fn silence_max(&self) -> Duration {
        self.config.election_timeout_max() * SILENT_ELECTION_TIMEOUTS
    }

    /// What the cluster has agreed on.
    pub(super) fn cluster(&self) -> ClusterState {
        self.applied.borrow().cluster.clone()
    }

    pub(super) fn leads(&self) -> bool {
        self.raft.view().role == Role::Leader
    }

    /// Fails while the cluster is being founded.
    pub(super) fn check_founded(&self) -> Result<(), Problem> {
        let id = self.cluster().names.id;
        id.map(drop).ok_or_else(no_leader)
    }

    pub(super) fn now(&self) -> UnixMillis {
        self.exchange.time().time
    }
}
