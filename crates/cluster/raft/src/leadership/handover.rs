//! Hands leadership over: from a leader that stops, or from one that should not lead.
//!
//! When openraft's leader is asked to hand over, it accepts no entries and sends no heartbeats
//! until there is a new leader (openraft #2088). So it is only asked to hand over to a voter that
//! is alive. It is asked with one voter after the other, until some node leads. If none takes over,
//! the others miss its heartbeats and elect a new leader; it votes for one that has its entries.

use std::{cmp::Reverse, sync::Arc, time::Duration};

use quorate_peer::{NodeId, NotElectable};
use quorate_state::Term;
use tokio::time::{sleep, timeout};

use crate::{
    adapters::{Follower, RaftView},
    leadership::leader::Leader,
    node_context::NodeContext,
};

/// How long a stopping leader waits for its successor.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// The most entries that a successor may lack if the leader keeps running: about one or two
/// messages. The successor must have them on disk before it is a candidate.
const LAG_MAX: u64 = 1024;

impl NodeContext {
    /// Hands leadership to an electable voter whenever this node leads and should not. If there is
    /// none, this node continues to lead. Never returns.
    pub(crate) async fn hand_over_when_not_electable(self: Arc<Self>) {
        let mut not_electable = self.gossip.not_electable();
        while not_electable
            .wait_for(|reasons| !reasons.is_empty())
            .await
            .is_ok()
        {
            let view = self.raft.view();
            let successors = successors(&view, self.config.election_timeout_min(), |follower| {
                let lag = follower.match_index.lag_behind(view.last_log);
                lag <= LAG_MAX && self.is_electable(follower.node)
            });
            if !successors.is_empty() {
                self.request_transfer(&successors, view.term).await;
            }
            sleep(self.config.heartbeat()).await;
        }
    }

    /// Hands leadership over if this node leads and another voter is alive, to an electable one if
    /// possible. For a leader that stops.
    pub(crate) async fn hand_over(&self) {
        let successors = self.successors();
        if successors.is_empty() {
            return;
        }
        if timeout(STOP_TIMEOUT, self.hand_to(&successors))
            .await
            .is_err()
        {
            tracing::warn!("no voter took over leadership in time: the others will elect a leader");
        }
    }

    /// The other voters that are alive: electable ones first, and among them the one with most of
    /// the log. Empty unless this node leads.
    pub(crate) fn successors(&self) -> Vec<NodeId> {
        let view = self.raft.view();
        let mut successors = successors(&view, self.config.election_timeout_min(), |_| true);
        // The sort is stable: within each group the one with most of the log stays first.
        successors.sort_by_key(|node| !self.is_electable(*node));
        successors
    }

    /// Hands leadership to one of these nodes. Returns the new leader, if it is known.
    pub(crate) async fn hand_to(&self, successors: &[NodeId]) -> Option<NodeId> {
        let term = self.raft.view().term;
        self.request_transfer(successors, term).await;
        let mut leader = self.leader.clone();
        let known = leader.wait_for(|now| now.node.is_some() && now.term > term);
        let node = known.await.ok()?.node.clone();
        node.map(|(node, _)| node)
    }

    /// Asks one after the other to lead, and then the first again, until `term` is over or all of
    /// them are gone.
    async fn request_transfer(&self, successors: &[NodeId], term: Term) {
        for (count, successor) in successors.iter().cycle().enumerate() {
            // Only the first round is logged.
            if count < successors.len() {
                tracing::info!(%successor, "handing over leadership");
            }
            self.raft.trigger_transfer(*successor).await;
            let mut leader = self.leader.clone();
            let ended = leader.wait_for(|now| self.has_ended(now, term));
            if timeout(self.config.election_timeout_max(), ended)
                .await
                .is_ok()
            {
                return;
            }
        }
    }

    /// Whether it is known that this node's leadership of `term` has ended.
    fn has_ended(&self, now: &Leader, term: Term) -> bool {
        match &now.node {
            Some((node, _)) => *node != self.config.node || now.term > term,
            // In a later term the successor is being elected. In this term the others are gone.
            None => now.term == term,
        }
    }

    /// Whether a peer has recently reported that it may lead.
    fn is_electable(&self, peer: NodeId) -> bool {
        let not_electable = self
            .gossip
            .not_electable_of(peer, self.config.election_timeout_max());
        not_electable.is_some_and(NotElectable::is_empty)
    }
}

/// The voters that are alive, as their leader knows, and `eligible`. The one with most of the log
/// comes first.
fn successors(
    view: &RaftView,
    silence_max: Duration,
    eligible: impl Fn(&Follower) -> bool,
) -> Vec<NodeId> {
    let mut successors: Vec<_> = view
        .voting_followers()
        .filter(|follower| follower.ack_age.is_some_and(|age| age < silence_max))
        .filter(|follower| eligible(follower))
        .collect();
    successors.sort_by_key(|follower| Reverse(follower.match_index));
    successors.iter().map(|follower| follower.node).collect()
}

#[cfg(test)]
#[path = "handover_tests.rs"]
mod tests;
