//! Who belongs to the cluster, as this node knows it, and whether a peer that connects is admitted.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, OnceLock, Weak},
};

use futures_util::future::BoxFuture;
use quorate_log::Log;
use quorate_peer::{
    Acknowledgements, Admission, DataLoss, Introduction, LogSummary, NodeId, Removal, Voucher,
    is_vouched_for, lock, message::Vote,
};
use quorate_state::{ClusterId, LogIndex, LogPosition, NodeRegistry, Term, UnixMillis, Vouchers};
use quorate_store::{Meta, Store};
use tokio::sync::watch;

use super::acknowledged::Acknowledged;
use crate::{
    RaftConfig, adapters::saved_vote, config::KnownMembers, membership::peer_terms::PeerTerms,
};

/// Who belongs to the cluster, as this node knows it.
pub(crate) struct MembershipView {
    pub(crate) node: NodeId,
    cluster: ClusterId,
    /// The members that this node was started with. They count as members until it has caught up: while
    /// it replays the log, it sees old memberships.
    configured: BTreeMap<NodeId, String>,
    /// Set once the log is open. Weak, because links outlive a stopped node for a short time and must
    /// not keep the log locked.
    log: OnceLock<Weak<Log>>,
    store: OnceLock<Weak<Store>>,
    acknowledged: Mutex<Acknowledged>,
    registry: watch::Sender<AppliedMembership>,
    /// The terms that peers stated.
    pub(crate) terms: PeerTerms,
    known: watch::Sender<KnownMembers>,
}

/// The membership and the node registry as applied on this node.
#[derive(Debug, Clone)]
struct AppliedMembership {
    /// The last applied entry. This node knows nothing of later ones.
    applied: LogIndex,
    /// The members and their addresses; before any are applied, the configured ones.
    members: BTreeMap<NodeId, String>,
    voters: BTreeSet<NodeId>,
    /// `None` until the store is open.
    node_registry: Option<Arc<NodeRegistry>>,
}

impl AppliedMembership {
    /// Whether `node` is a member or registered.
    fn is_listed(&self, node: NodeId) -> bool {
        let node_registry = self.node_registry.as_ref();
        self.members.contains_key(&node)
            || node_registry
                .is_some_and(|node_registry| node_registry.registrations.contains_key(&node.0))
    }

    fn is_vouched_for(&self, cluster: ClusterId, peer: NodeId, vouchers: &[Voucher]) -> bool {
        let is_listed = |node| self.is_listed(node);
        is_vouched_for(peer, vouchers, cluster, self.applied, is_listed)
    }

    fn admission(&self, cluster: ClusterId, peer: NodeId, vouchers: &[Voucher]) -> Admission {
        if self.is_listed(peer) {
            return Admission::Listed;
        }
        if self.is_vouched_for(cluster, peer, vouchers) {
            return Admission::Vouched;
        }
        match &self.node_registry {
            Some(node_registry) if node_registry.removed.contains_key(&peer.0) => {
                Admission::Removed(self.removal(node_registry))
            }
            _ => Admission::Stranger,
        }
    }

    /// What this node sends to a removed node.
    fn removal(&self, node_registry: &NodeRegistry) -> Removal {
        let address = |node: &NodeId| self.members.get(node).cloned().unwrap_or_default();
        let voters = self.voters.iter();
        let chains = voters
            .clone()
            .flat_map(|node| node_registry.vouchers.chain(*node));
        let vouchers: BTreeMap<_, _> = chains.map(|voucher| (voucher.index, voucher)).collect();
        Removal {
            index: self.applied,
            voters: voters.map(|node| (*node, address(node))).collect(),
            vouchers: vouchers.into_values().collect(),
        }
    }

    /// Whether both list the same members, voters and registrations.
    fn has_same_nodes(&self, other: &Self) -> bool {
        (&self.members, &self.voters, &self.node_registry)
            == (&other.members, &other.voters, &other.node_registry)
    }
}

impl MembershipView {
    /// The view at the start of the process, from what was configured and saved.
    pub(crate) fn new(config: &RaftConfig) -> Self {
        let mut members = config.known.members.clone();
        if config.founding.is_some() {
            members.extend(config.founders());
        }
        let registry = AppliedMembership {
            applied: config.known.index,
            members: members.clone(),
            voters: BTreeSet::new(),
            node_registry: None,
        };
        Self {
            node: config.node,
            cluster: config.cluster,
            configured: members,
            log: OnceLock::new(),
            store: OnceLock::new(),
            acknowledged: Mutex::default(),
            registry: watch::Sender::new(registry),
            terms: PeerTerms::new(config.known.term),
            known: watch::Sender::new(config.known.clone()),
        }
    }

    /// From now on this node states what is in its log.
    pub(crate) fn set_log(&self, log: &Arc<Log>) {
        // The log is opened once.
        let _ = self.log.set(Arc::downgrade(log));
    }

    /// From now on this node also states what is in its store: a snapshot is stored before the log
    /// starts after it.
    pub(crate) fn set_store(&self, store: &Arc<Store>) {
        // The store is opened once.
        let _ = self.store.set(Arc::downgrade(store));
    }

    /// What this node states about itself when it opens a link.
    pub(crate) fn introduction(&self) -> Introduction {
        let vouchers = |node_registry: &Arc<NodeRegistry>| node_registry.vouchers.chain(self.node);
        Introduction {
            cluster: self.cluster,
            stated: self.log_summary(),
            vouchers: self
                .registry
                .borrow()
                .node_registry
                .as_ref()
                .map(vouchers)
                .unwrap_or_default(),
        }
    }

    /// The summary of this node's log. While no log is open, it does not state that anything is missing.
    pub(super) fn log_summary(&self) -> LogSummary {
        let Some(log) = self.open_log() else {
            return LogSummary {
                durable: Some(LogPosition::new(u64::MAX, u64::MAX)),
                ..LogSummary::default()
            };
        };
        let store = self.store.get().and_then(Weak::upgrade);
        // Read before the term: this node saves its vote for a leader before that leader makes it
        // remove entries.
        let durable = log.durable().max(store.and_then(|store| store.durable()));
        LogSummary {
            term: saved_vote(&log).map_or(Term(0), |vote| vote.term),
            durable,
        }
    }

    fn open_log(&self) -> Option<Arc<Log>> {
        self.log.get().and_then(Weak::upgrade)
    }

    /// The last vote of this node.
    pub(crate) fn own_vote(&self) -> Option<Vote> {
        saved_vote(&*self.open_log()?)
    }

    /// The last entry of this node's log.
    pub(crate) fn last_log(&self) -> Option<LogPosition> {
        self.open_log()?.state().last
    }

    /// The highest term that this node accepts while its own term is `own`.
    pub(crate) fn highest_term(&self, own: Term) -> Term {
        let registry = self.registry.borrow();
        self.terms.highest(self.node, own, &registry.voters)
    }

    fn is_log_empty(&self) -> bool {
        self.log_summary().durable.is_none()
    }

    /// Whether `node` is a voter according to what is applied.
    pub(crate) fn is_voter(&self, node: NodeId) -> bool {
        self.registry.borrow().voters.contains(&node)
    }

    /// The members and their addresses; before any are applied, the configured ones.
    pub(crate) fn members(&self) -> BTreeMap<NodeId, String> {
        self.registry.borrow().members.clone()
    }

    /// The registered nodes and the invites.
    pub(crate) fn node_registry(&self) -> Arc<NodeRegistry> {
        self.registry
            .borrow()
            .node_registry
            .clone()
            .unwrap_or_default()
    }

    /// Whether `peer`, which presents these vouchers, is admitted, and as what.
    pub(crate) fn admission(&self, peer: NodeId, vouchers: &[Voucher]) -> Admission {
        self.registry
            .borrow()
            .admission(self.cluster, peer, vouchers)
    }

    /// The voters in another node's `removal` that this node lists, or that are vouched for.
    pub(crate) fn verified(&self, removal: &Removal) -> BTreeMap<NodeId, String> {
        let registry = self.registry.borrow();
        let vouchers = removal.vouchers.iter();
        let vouchers = Vouchers {
            kept: vouchers.map(|voucher| (voucher.index, *voucher)).collect(),
            ..Vouchers::default()
        };
        let is_verified = |node: &NodeId| {
            let chain = vouchers.chain(*node);
            registry.is_listed(*node) || registry.is_vouched_for(self.cluster, *node, &chain)
        };
        let voters = removal.voters.iter().cloned();
        voters.filter(|(node, _)| is_verified(node)).collect()
    }

    /// Resolves when links of `peer`, which has presented these vouchers, are no longer accepted.
    pub(crate) fn removed(&self, peer: NodeId, vouchers: Vec<Voucher>) -> BoxFuture<'static, ()> {
        let (mut registry, cluster) = (self.registry.subscribe(), self.cluster);
        Box::pin(async move {
            let removed = registry.wait_for(|now| {
                let admission = now.admission(cluster, peer, &vouchers);
                !matches!(admission, Admission::Listed | Admission::Vouched)
            });
            if removed.await.is_err() {
                // The node is closed, and all links with it.
                std::future::pending().await
            }
        })
    }

    /// Records what `peer` has on disk, as it acknowledged to this node as the leader of `term`.
    pub(crate) fn record_acknowledged(&self, term: Term, peer: NodeId, position: LogPosition) {
        if self.registry.borrow().voters.contains(&peer) {
            lock(&self.acknowledged).record(term, peer, position);
        }
    }

    /// What voters have acknowledged to this node so far in its current term.
    pub(crate) fn acknowledged(&self) -> Acknowledgements {
        let term = self.log_summary().term;
        lock(&self.acknowledged).of_term(term)
    }

    /// What `peer` has lost, given the log that it states: entries that it acknowledged to this leader
    /// earlier (`before`), or all data that it is known to have had.
    pub(crate) fn lost_data(
        &self,
        peer: NodeId,
        stated: LogSummary,
        before: &Acknowledgements,
    ) -> Option<DataLoss> {
        self.terms.record(peer, stated.term);
        let term = self.log_summary().term;
        let acknowledged = before.get(&peer).filter(|(of, _)| *of == term);
        let loss = acknowledged.and_then(|last| DataLoss::of(Some(*last), stated));
        let all = || DataLoss::of(None, stated).filter(|_| self.had_data(peer));
        loss.or_else(all)
    }

    /// Whether `peer` is known to have had entries in its log. A node that has a log and has not opened
    /// its store yet assumes it of all: a peer would vote again as soon as it is sent entries.
    fn had_data(&self, peer: NodeId) -> bool {
        let registry = self.registry.borrow();
        let Some(node_registry) = &registry.node_registry else {
            return !self.is_log_empty();
        };
        let registration = node_registry.registrations.get(&peer.0);
        registration.is_some_and(|registration| registration.has_data)
    }

    /// Whether an invite is open, so that a new node may join.
    pub(crate) fn expects_joiners(&self, now: UnixMillis) -> bool {
        let node_registry = self.node_registry();
        let mut invites = node_registry.invites.values();
        invites.any(|invite| !invite.is_used_up() && invite.expires > now)
    }

    /// Waits until the node registry fulfils `condition`. False when the node is closed.
    pub(crate) async fn wait_until(
        &self,
        mut condition: impl FnMut(&NodeRegistry) -> bool,
    ) -> bool {
        let mut registry = self.registry.subscribe();
        let reached =
            registry.wait_for(|now| now.node_registry.as_deref().is_some_and(&mut condition));
        reached.await.is_ok()
    }

    /// The members, now and after each change, to be saved separately from log and store.
    pub(crate) fn known(&self) -> watch::Receiver<KnownMembers> {
        self.known.subscribe()
    }

    /// Records the members, if there are any, and what is applied. Until the node `has_caught_up` with
    /// a leader, the configured members stay, at their configured addresses.
    pub(crate) fn update(
        &self,
        members: &BTreeMap<NodeId, String>,
        voters: BTreeSet<NodeId>,
        meta: &Meta,
        has_caught_up: bool,
    ) {
        lock(&self.acknowledged).retain(|voter| voters.contains(voter));
        self.registry.send_if_modified(|registry| {
            let mut now = registry.clone();
            now.applied = now.applied.max(meta.applied_index());
            now.node_registry = Some(meta.cluster.node_registry.clone());
            if !members.is_empty() {
                now.members.clone_from(members);
                now.voters = voters;
                if !has_caught_up {
                    now.members.extend(self.configured.clone());
                }
            }
            let has_changed = !now.has_same_nodes(registry);
            *registry = now;
            has_changed
        });
        if members.is_empty() {
            return;
        }
        let registry = self.registry.borrow();
        self.known.send_if_modified(|known| {
            let has_changed = known.members != registry.members;
            known.index = registry.applied;
            known.members.clone_from(&registry.members);
            has_changed
        });
    }
}
