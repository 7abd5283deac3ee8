//! Who the cluster is and who belongs to it, as this node knows it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, OnceLock, Weak},
};

use futures_util::future::BoxFuture;
use quorate_log::Log;
use quorate_peer::{Introduction, LogState, NodeId};
use quorate_state::{ClusterNames, ClusterState, Roll, UnixMillis};
use tokio::sync::watch;

use crate::{RaftConfig, config::Known, start::log_state::log_state};

/// Who the cluster is and who belongs to it.
pub(crate) struct Roster {
    pub(super) node: NodeId,
    founders: BTreeMap<NodeId, String>,
    /// Of whom this node was told when it was started. They belong to it until it has caught up: while
    /// it replays the log, it meets members of long ago.
    told: BTreeMap<NodeId, String>,
    /// Set when it is open. Links outlive a stopped node by a moment, and must not keep it locked.
    log: OnceLock<Weak<Log>>,
    belonging: watch::Sender<Belonging>,
    known: watch::Sender<Known>,
}

/// Who belongs to the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Belonging {
    names: ClusterNames,
    /// Where the members are. Before there are any: where the founders are, or for a node that joins
    /// those of whom it was told.
    members: BTreeMap<NodeId, String>,
    /// Whether these are Raft's members.
    has_membership: bool,
    admitted: BTreeSet<NodeId>,
    /// `None` until the store is open.
    roll: Option<Arc<Roll>>,
}

impl Roster {
    /// What was known when the process was started.
    pub(crate) fn new(config: &RaftConfig) -> Self {
        let members = match config.known.members.is_empty() {
            true => config.voters.clone(),
            false => config.known.members.clone(),
        };
        let belonging = Belonging {
            names: config.known.names,
            admitted: members
                .keys()
                .chain(config.voters.keys())
                .copied()
                .collect(),
            members: members.clone(),
            has_membership: false,
            roll: None,
        };
        Self {
            node: config.node,
            founders: config.voters.clone(),
            told: members,
            log: OnceLock::new(),
            belonging: watch::Sender::new(belonging),
            known: watch::Sender::new(config.known.clone()),
        }
    }

    /// From now on this node tells what is in its log.
    pub(crate) fn set_log(&self, log: &Arc<Log>) {
        // It is opened once.
        let _ = self.log.set(Arc::downgrade(log));
    }

    /// What this node says of itself now. One that has not opened its log yet cannot say that it is
    /// empty.
    pub(crate) fn introduction(&self) -> Introduction {
        Introduction {
            names: self.names(),
            log: self.log_state(),
        }
    }

    fn log_state(&self) -> LogState {
        let log = self.log.get().and_then(Weak::upgrade);
        log.map_or(LogState::More, |log| log_state(&log))
    }

    pub(crate) fn names(&self) -> ClusterNames {
        self.belonging.borrow().names
    }

    /// The members and where they are; before there are any, whoever this node was told of.
    pub(crate) fn members(&self) -> BTreeMap<NodeId, String> {
        self.belonging.borrow().members.clone()
    }

    /// Nodes that are registered, and invites.
    pub(crate) fn roll(&self) -> Arc<Roll> {
        self.belonging.borrow().roll.clone().unwrap_or_default()
    }

    /// Whether links of `peer` are taken.
    pub(crate) fn admits(&self, peer: NodeId) -> bool {
        self.belonging.borrow().admitted.contains(&peer)
    }

    /// Resolves when links of `peer` are not taken any more.
    pub(crate) fn expelled(&self, peer: NodeId) -> BoxFuture<'static, ()> {
        let mut belonging = self.belonging.subscribe();
        Box::pin(async move {
            let expelled = belonging.wait_for(|now| !now.admitted.contains(&peer));
            if expelled.await.is_err() {
                // The node is gone, and all links with it.
                std::future::pending().await
            }
        })
    }

    /// Whether `peer`, whose log is empty, is known to have had entries in it. A node with a log that
    /// has not opened its store yet suspects everybody: who is fed once votes again.
    pub(crate) fn has_lost_data(&self, peer: NodeId) -> bool {
        let belonging = self.belonging.borrow();
        let Some(roll) = &belonging.roll else {
            return self.log_state() != LogState::Empty;
        };
        let registration = roll.registrations.get(&peer.0);
        registration.is_some_and(|registration| registration.has_data)
    }

    /// Whether somebody may come with a token.
    pub(crate) fn expects_joiners(&self, now: UnixMillis) -> bool {
        let roll = self.roll();
        let mut invites = roll.invites.values();
        invites.any(|invite| invite.used_by.is_none() && invite.expires > now)
    }

    /// Waits until what is known of nodes and invites is so. False when the node is gone.
    pub(crate) async fn until(&self, mut condition: impl FnMut(&Roll) -> bool) -> bool {
        let mut belonging = self.belonging.subscribe();
        let reached = belonging.wait_for(|now| now.roll.as_deref().is_some_and(&mut condition));
        let reached = reached.await;
        reached.is_ok()
    }

    /// What is known of the cluster, now and later, to be kept beside log and store.
    pub(crate) fn known(&self) -> watch::Receiver<Known> {
        self.known.subscribe()
    }

    /// Notes who the members are, if there are any, and what is agreed on. Until the node `has_caught_up`
    /// with a leader, those of whom it was told belong to it too, where it was told that they are.
    pub(crate) fn update(
        &self,
        members: BTreeMap<NodeId, String>,
        cluster: &ClusterState,
        has_caught_up: bool,
    ) {
        let mut now = self.belonging.borrow().clone();
        if cluster.names.id.is_some() {
            now.names = cluster.names;
        }
        now.roll = Some(cluster.roll.clone());
        if !members.is_empty() {
            now.has_membership = true;
            now.members = members;
            if !has_caught_up {
                now.members.extend(self.told.clone());
            }
        }
        let registered = cluster.roll.registrations.keys().map(|key| NodeId(*key));
        now.admitted = now.members.keys().copied().chain(registered).collect();
        if !now.has_membership {
            now.admitted.extend(self.founders.keys());
        }
        let mut known = self.known.borrow().clone();
        known.names = now.names;
        if now.has_membership {
            known.members.clone_from(&now.members);
        }
        tell(&self.belonging, now);
        tell(&self.known, known);
    }
}

/// Tells what is so now, if that is news.
fn tell<T: PartialEq>(told: &watch::Sender<T>, now: T) {
    told.send_if_modified(|before| {
        let is_news = *before != now;
        *before = now;
        is_news
    });
}
