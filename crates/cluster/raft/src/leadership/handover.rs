//! Handing leadership over: by a leader that stops, and by one that should not lead.
//!
//! openraft's leader takes no entries and sends no heartbeats once it was asked to hand over, and
//! nothing but a new leader ends that (openraft #2088). So it is asked only for the sake of a voter
//! that lives, and asked again, for the next one, until somebody leads. If nobody takes over, the
//! others miss its heartbeats and elect a new leader; it votes for one that has its entries.

use std::{cmp::Reverse, sync::Arc, time::Duration};

use quorate_peer::{NodeId, NotElectable};
use quorate_state::Term;
use tokio::time::{sleep, timeout};

use crate::{
    adapters::{Follower, View},
    leadership::leader::Leader,
    parts::Parts,
};

/// How long to wait for the successor when a leader stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// The most entries that the successor of a leader that works may lack: what it gets in one or two
/// messages. It has to have them on disk before it stands for election.
const LAG_MAX: u64 = 1024;

impl Parts {
    /// Hands leadership to a voter that may lead whenever this node leads and should not. If there
    /// is none, it goes on leading. Never returns.
    pub(crate) async fn hand_over_when_unfit(self: Arc<Self>) {
        let mut not_electable = self.gossip.not_electable();
        while not_electable
            .wait_for(|reasons| !reasons.is_empty())
            .await
            .is_ok()
        {
            let view = self.raft.view();
            let successors = successors(&view, self.config.election_timeout_min(), |follower| {
                let lag = follower.matching.lag_behind(view.last_log);
                lag <= LAG_MAX && self.is_fit(follower.node)
            });
            if !successors.is_empty() {
                self.insist(&successors, view.term).await;
            }
            sleep(self.config.heartbeat()).await;
        }
    }

    /// Hands leadership over if this node leads and another voter lives, if possible to one that may
    /// lead. For a leader that stops.
    pub(crate) async fn hand_over(&self) {
        let successors = self.successors();
        if successors.is_empty() {
            return;
        }
        if timeout(STOP_TIMEOUT, self.hand_to(&successors))
            .await
            .is_err()
        {
            tracing::warn!("leadership was not taken over in time; an election will follow");
        }
    }

    /// The other voters that live, those first that may lead, and among them the one that has most of
    /// the log. None unless this node leads.
    pub(crate) fn successors(&self) -> Vec<NodeId> {
        let view = self.raft.view();
        let mut successors = successors(&view, self.config.election_timeout_min(), |_| true);
        // Stable: among those alike, the one that has most of the log stays first.
        successors.sort_by_key(|node| !self.is_fit(*node));
        successors
    }

    /// Hands leadership to one of these and says who leads then, if that is known.
    pub(crate) async fn hand_to(&self, successors: &[NodeId]) -> Option<NodeId> {
        let term = self.raft.view().term;
        self.insist(successors, term).await;
        let mut leader = self.leader.clone();
        let known = leader.wait_for(|now| now.node.is_some() && now.term > term);
        let node = known.await.ok()?.node.clone();
        node.map(|(node, _)| node)
    }

    /// Asks one after the other to lead, and then the first again, until `term` is over or all of
    /// them are gone.
    async fn insist(&self, successors: &[NodeId], term: Term) {
        for (count, successor) in successors.iter().cycle().enumerate() {
            // The first round is told, the others follow from it.
            if count < successors.len() {
                tracing::info!(%successor, "handing over leadership");
            }
            self.raft.trigger_transfer(*successor).await;
            let mut leader = self.leader.clone();
            let taken = leader.wait_for(|now| self.has_ended(now, term));
            if timeout(self.config.election_timeout_max(), taken)
                .await
                .is_ok()
            {
                return;
            }
        }
    }

    /// Whether this node's leadership of `term` has ended, and how it ended is known.
    fn has_ended(&self, now: &Leader, term: Term) -> bool {
        match &now.node {
            Some((node, _)) => *node != self.config.node || now.term > term,
            // In a later term the successor is being elected. In this one the others have gone.
            None => now.term == term,
        }
    }

    /// Whether a peer has said of late that it may lead.
    fn is_fit(&self, peer: NodeId) -> bool {
        let not_electable = self
            .gossip
            .not_electable_of(peer, self.config.election_timeout_max());
        not_electable.is_some_and(NotElectable::is_empty)
    }
}

/// The voters that live, as their leader knows, and are `eligible`, the one that has most of the log
/// first.
fn successors(
    view: &View,
    silence_max: Duration,
    eligible: impl Fn(&Follower) -> bool,
) -> Vec<NodeId> {
    let mut successors: Vec<_> = view
        .voting_followers()
        .filter(|follower| follower.ack_age.is_some_and(|age| age < silence_max))
        .filter(|follower| eligible(follower))
        .collect();
    successors.sort_by_key(|follower| Reverse(follower.matching));
    successors.iter().map(|follower| follower.node).collect()
}

#[cfg(test)]
#[path = "handover_tests.rs"]
mod tests;
