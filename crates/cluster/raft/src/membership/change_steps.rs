//! The steps that changes of the members consist of.

use std::collections::BTreeSet;

use quorate_api::{Problem, ProblemType};
use quorate_peer::NodeId;
use quorate_state::{Command, Registration};
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    admin::LeaderTask,
    membership_snapshot::MembershipSnapshot,
    problems::{busy, failed, no_leader, not_caught_up},
};
use crate::adapters::MembersChange;

impl LeaderTask<'_> {
    /// The members, once no change is unfinished. Completes an unfinished one; fails at the deadline.
    pub(super) async fn wait_until_settled(&self) -> Result<MembershipSnapshot, Problem> {
        loop {
            let snapshot = self.membership_snapshot();
            let membership = &snapshot.membership;
            match (membership.is_committed, membership.is_joint()) {
                (true, false) => return Ok(snapshot),
                (true, true) => self.leave_joint(&snapshot).await?,
                (false, _) if Instant::now() >= self.deadline => return Err(busy()),
                (false, _) if !self.leads() => return Err(no_leader()),
                (false, _) => sleep(self.context.config.heartbeat()).await,
            }
        }
    }

    /// Completes a change that its leader left unfinished.
    pub(super) async fn leave_joint(&self, snapshot: &MembershipSnapshot) -> Result<(), Problem> {
        tracing::info!("completing an unfinished change of the voters");
        self.change_membership(snapshot, MembersChange::LeaveJoint)
            .await
    }

    /// Fails if no majority of `voters` is alive, unless forced. Waits for a while first: a voter that
    /// has just returned answers within a heartbeat.
    pub(super) async fn check_quorum(
        &self,
        voters: &BTreeSet<NodeId>,
        force: bool,
    ) -> Result<(), Problem> {
        let deadline = Instant::now() + self.silence_max();
        loop {
            match self.membership_snapshot().check_quorum(voters) {
                Err(problem) if problem.problem_type == ProblemType::NoLiveQuorum => {
                    match Instant::now() < deadline {
                        _ if force => return Ok(()),
                        true => sleep(self.context.config.heartbeat()).await,
                        false => return Err(problem),
                    }
                }
                checked => return checked,
            }
        }
    }

    /// If `node` is this leader, hands over and fails with `no_leader`: a leader that must lose its vote
    /// leaves the change to its successor.
    pub(super) async fn step_down(
        &self,
        snapshot: &MembershipSnapshot,
        node: NodeId,
    ) -> Result<(), Problem> {
        if snapshot.leader != node {
            return Ok(());
        }
        let leader = self.hand_over(&self.context.successors()).await?;
        tracing::info!(%leader, "handed over, because this node will not be a voter any more");
        Err(no_leader())
    }

    pub(super) async fn set_stays_learner(
        &self,
        snapshot: &MembershipSnapshot,
        node: NodeId,
        stays_learner: bool,
    ) -> Result<(), Problem> {
        let mut registration = snapshot.registration_to_change(node);
        registration.stays_learner = stays_learner;
        match snapshot.registration(node) == Some(&registration) {
            true => Ok(()),
            false => self.register(node, registration).await,
        }
    }

    pub(super) async fn register(
        &self,
        node: NodeId,
        registration: Registration,
    ) -> Result<(), Problem> {
        let node = node.0;
        let command = Command::Register { node, registration };
        self.commit(command).await.map(drop)
    }

    pub(super) async fn set_voters(
        &self,
        snapshot: &MembershipSnapshot,
        voters: BTreeSet<NodeId>,
        retain: bool,
    ) -> Result<(), Problem> {
        let names: Vec<_> = voters.iter().map(ToString::to_string).collect();
        tracing::info!(voters = names.join(", "), "changing the voters");
        let change = MembersChange::Voters { voters, retain };
        self.change_membership(snapshot, change).await
    }

    /// Changes the membership. Fails if it is not the one of `snapshot` any more.
    pub(super) async fn change_membership(
        &self,
        snapshot: &MembershipSnapshot,
        change: MembersChange,
    ) -> Result<(), Problem> {
        let known = snapshot.membership.position;
        let changed = self.context.raft.change_members(change, known);
        timeout_at(self.deadline, changed).await.unwrap_or_else(|_| {
            Err(failed(
                "the change has started, but too few voters have accepted it yet: it continues when \
                 they answer",
            ))
        })
    }

    /// Removes a node from the cluster, so that the voters are `rest`. Deregisters it first: if that
    /// came last and the leader failed before it, the next leader would add the node again. `compromised` is
    /// whether others may know the secrets on its machine.
    pub(super) async fn remove_member(
        &self,
        snapshot: &MembershipSnapshot,
        node: NodeId,
        rest: BTreeSet<NodeId>,
        compromised: bool,
    ) -> Result<(), Problem> {
        // In one entry, so that no leader can fail in between.
        match (snapshot.registration(node).is_some(), compromised) {
            (true, true) => drop(self.commit(Command::DeregisterCompromised(node.0)).await?),
            (true, false) => drop(self.commit(Command::Deregister(node.0)).await?),
            (false, true) => self.replace_secrets().await?,
            (false, false) => {}
        }
        if snapshot.membership.is_voter(node) {
            self.set_voters(snapshot, rest, false).await?;
        } else if snapshot.is_member(node) {
            let change = MembersChange::RemoveLearner(node);
            self.change_membership(snapshot, change).await?;
        }
        tracing::info!(%node, "removed a node from the cluster");
        Ok(())
    }

    /// How many entries `node` lacks to become a voter; `None` if it has caught up. Fails if it lacks
    /// some and is silent, because waiting does not help then.
    pub(super) async fn promotion_lag(&self, node: NodeId) -> Result<Option<u64>, Problem> {
        let deadline = Instant::now() + self.silence_max();
        loop {
            let snapshot = self.membership_snapshot();
            let is_pending = !snapshot.is_member(node);
            if snapshot.membership.is_voter(node) || snapshot.has_caught_up(node) {
                return Ok(None);
            } else if is_pending || snapshot.is_live(node) {
                return Ok(Some(snapshot.lag(node)));
            } else if Instant::now() >= deadline {
                return Err(not_caught_up());
            }
            sleep(self.context.config.heartbeat()).await;
        }
    }
}
