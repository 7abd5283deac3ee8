//! Hands leadership over on request.

use quorate_api::{Problem, TransferResult};
use quorate_peer::NodeId;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::{
    admin::LeaderTask,
    problems::{failed, no_leader, not_caught_up, unsuitable_node},
};
use crate::leadership::leader::Leader;

/// A new leader counts once it has led for this many times the longest election timeout: one that
/// should not lead has handed over by then.
const SETTLED_ELECTION_TIMEOUTS: u32 = 2;

impl LeaderTask<'_> {
    /// Hands leadership to `to`, or to any suitable voter. If the answer is lost and the request retried,
    /// leadership may move once more than requested.
    pub(super) async fn transfer(&self, to: Option<&str>) -> Result<TransferResult, Problem> {
        let snapshot = self.membership_snapshot();
        let target = to.map(|to| snapshot.find_known(to)).transpose()?;
        let successors = match target {
            Some(node) if node == self.context.config.node => {
                self.check_electable(node)?;
                return Ok(transfer_result(node));
            }
            Some(node) if !snapshot.membership.is_voter(node) => {
                let text = "it is not a voter, so it cannot lead: promote it first";
                return Err(unsuitable_node(text));
            }
            target => self.successors(target).await,
        };
        if successors.is_empty() && !self.leads() {
            return Err(no_leader());
        }
        if successors.is_empty() && target.is_some() {
            return Err(not_caught_up());
        }
        // A node that should not lead would hand over immediately.
        successors
            .iter()
            .try_for_each(|node| self.check_electable(*node))?;
        let leader = self.hand_over(&successors).await?;
        match target {
            Some(target) if target != leader => Err(failed(format!(
                "{target} did not take over, {leader} leads: retry"
            ))),
            _ => self.confirm_leader(leader).await,
        }
    }

    /// Fails if `node` has reported a reason why it should not lead.
    fn check_electable(&self, node: NodeId) -> Result<(), Problem> {
        let snapshot = self.membership_snapshot();
        let reasons: Vec<_> = snapshot
            .not_electable(node)
            .reasons()
            .map(|(_, text)| text)
            .collect();
        match reasons.is_empty() {
            true => Ok(()),
            false => Err(unsuitable_node(format!(
                "{} must not lead: {}",
                snapshot.label(node),
                reasons.join(", ")
            ))),
        }
    }

    /// Waits until the new leader has led long enough. Fails if it has handed over by then.
    async fn confirm_leader(&self, leader: NodeId) -> Result<TransferResult, Problem> {
        let other = |now: &Leader| now.node.as_ref().is_some_and(|(node, _)| *node != leader);
        let mut leaders = self.context.leader.clone();
        let moved = timeout(
            SETTLED_ELECTION_TIMEOUTS * self.context.config.election_timeout_max(),
            leaders.wait_for(other),
        );
        let has_moved = moved.await.is_ok();
        let known = self.context.leader.borrow().node.clone();
        match known.filter(|_| !has_moved) {
            Some(_) => Ok(transfer_result(leader)),
            None => Err(failed(format!(
                "{leader} took over, but does not lead any more: read its log for the reason"
            ))),
        }
    }

    /// The live voters, or `target` if it is alive. A leader that has just been elected has no answers
    /// yet; live voters answer within a heartbeat.
    async fn successors(&self, target: Option<NodeId>) -> Vec<NodeId> {
        let deadline = Instant::now() + self.silence_max();
        loop {
            let successors = match target {
                // A new leader does not know yet how many entries it lacks.
                Some(node) if self.membership_snapshot().is_live(node) => vec![node],
                Some(_) => Vec::new(),
                None => self.electable_successors(),
            };
            if !successors.is_empty() || Instant::now() >= deadline || !self.leads() {
                return successors;
            }
            sleep(self.context.config.heartbeat()).await;
        }
    }

    /// The successors that are electable; all of them if none is.
    fn electable_successors(&self) -> Vec<NodeId> {
        let (successors, snapshot) = (self.context.successors(), self.membership_snapshot());
        let is_electable = |node: &NodeId| snapshot.not_electable(*node).is_empty();
        match successors.iter().any(is_electable) {
            true => successors.into_iter().filter(is_electable).collect(),
            false => successors,
        }
    }

    /// Hands leadership to one of `successors` and returns the new leader.
    pub(super) async fn hand_over(&self, successors: &[NodeId]) -> Result<NodeId, Problem> {
        if successors.is_empty() {
            let text = "no other voter that could lead answers: start one, or check its links";
            return Err(unsuitable_node(text));
        }
        let leader = timeout_at(self.deadline, self.context.hand_to(successors)).await;
        leader.ok().flatten().ok_or_else(no_leader)
    }
}

fn transfer_result(leader: NodeId) -> TransferResult {
    TransferResult {
        leader: leader.to_string(),
    }
}
