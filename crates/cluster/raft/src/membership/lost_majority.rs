//! Detects that too few voters answer to elect a leader. A retry does not help then, so the operator
//! gets the reason immediately.

use std::{collections::BTreeSet, time::Duration};

use futures_util::future::join_all;
use quorate_api::Problem;
use quorate_peer::{NodeId, StreamKind, message::Request};
use tokio::time::{sleep, timeout};

use super::{admin::Admin, problems::majority_lost};
use crate::leadership::leader::leaderless;

/// After this long without a known leader, a node checks which voters answer, and reports what it knows
/// itself. In a healthy cluster an election is over by then.
pub(super) const LEADERLESS_TIMEOUT: Duration = Duration::from_secs(2);

impl Admin {
    /// The result of `step`; fails early if a majority is lost meanwhile.
    pub(super) async fn unless_majority_lost<T>(
        &self,
        step: impl Future<Output = Result<T, Problem>>,
    ) -> Result<T, Problem> {
        tokio::select! {
            done = step => done,
            problem = self.majority_lost() => Err(problem),
        }
    }

    /// Resolves when no leader has been known for a while and no majority of the voters answers.
    pub(super) async fn majority_lost(&self) -> Problem {
        loop {
            leaderless(self.context.leader.clone(), LEADERLESS_TIMEOUT).await;
            self.probe_members().await;
            if let Some(problem) = self.find_majority_lost() {
                return problem;
            }
            sleep(self.context.config.heartbeat()).await;
        }
    }

    /// Sends a request to the other members to see which of them answer. Without that, only a leader
    /// receives messages from all.
    pub(super) async fn probe_members(&self) {
        let (own, membership) = (self.context.config.node, self.context.raft.membership());
        // Over links that are open already: a learner has links to voters only.
        let votes = membership.is_voter(own);
        let stream_kind = match votes {
            true => StreamKind::Control,
            false => StreamKind::Forward,
        };
        let others = membership.nodes.iter();
        let others =
            others.filter(|(node, _)| **node != own && (votes || membership.is_voter(**node)));
        // Every live node answers this, even if only that it does not lead.
        let probe = |(node, address): (&NodeId, &String)| {
            let link = self.context.peers.link(*node, address, stream_kind);
            async move { link.call(Request::ReadIndex).await }
        };
        // An answer counts for twice as long as this wait, so it is still valid afterwards.
        let _ = timeout(self.silence_max() / 2, join_all(others.map(probe))).await;
    }

    /// How long ago this node last heard from `node`.
    pub(super) fn silence_here(&self, node: NodeId) -> Option<Duration> {
        let received = self.context.gossip.last_received(node);
        let received = received.map(|received| received.at);
        let last = received.max(self.context.peers.link_tracker.lost_at(node));
        last.map(|at| at.elapsed())
    }

    /// Whether this node has heard from `node` recently, or is `node`.
    pub(super) fn is_live_here(&self, node: NodeId) -> bool {
        let received = || self.context.gossip.last_received(node);
        node == self.context.config.node
            || received().is_some_and(|received| received.at.elapsed() <= self.silence_max())
    }

    fn find_majority_lost(&self) -> Option<Problem> {
        let snapshot = self.membership_snapshot();
        let is_lost = |voters: &&BTreeSet<NodeId>| {
            let live = voters.iter().filter(|node| self.is_live_here(**node));
            live.count() <= voters.len() / 2
        };
        let voters = snapshot.membership.configs.iter().find(is_lost)?;
        let silent = voters.iter().filter(|node| !self.is_live_here(**node));
        let silent = silent.map(|node| {
            let started = || self.context.gossip.started_at().elapsed();
            let since = self.silence_here(*node);
            let span = format_span(since.unwrap_or_else(started));
            let name = snapshot.label(*node);
            match since {
                Some(_) => format!("{name} (for {span})"),
                None => format!("{name} (since this node was started, {span} ago)"),
            }
        });
        Some(majority_lost(voters.len(), &silent.collect::<Vec<_>>()))
    }
}

/// A duration as text, in the largest unit that gives at least two.
fn format_span(span: Duration) -> String {
    let secs = span.as_secs();
    match secs {
        0..120 => format!("{secs} s"),
        120..7_200 => format!("{} min", secs / 60),
        7_200..172_800 => format!("{} h", secs / 3_600),
        _ => format!("{} days", secs / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_shown_in_the_largest_unit_that_gives_at_least_two() {
        let texts = [0, 119, 120, 7_199, 7_200, 172_799, 172_800]
            .map(|secs| format_span(Duration::from_secs(secs)));
        let expected = ["0 s", "119 s", "2 min", "119 min", "2 h", "47 h", "2 days"];
        assert_eq!(texts, expected);
    }
}
