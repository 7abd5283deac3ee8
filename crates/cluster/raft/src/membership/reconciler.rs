//! Runs on the leader: compares the membership with the desired one and applies one change at a time.
//! A leader may fail after any step: the next one finds what is left to do.

use std::{sync::Arc, time::Duration};

use quorate_api::Problem;
use quorate_peer::{NodeId, vouch};
use quorate_state::{Command, LogIndex, Registration, Term};
use tokio::time::{Instant, sleep};

use super::{
    admin::{Admin, LeaderTask},
    membership_snapshot::MembershipSnapshot,
};
use crate::{adapters::MembersChange, config::Cleanup, node_context::NodeContext};

/// How often to check whether a step is due.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// How long a step may take; no operator waits for it. After that a majority most likely does not answer.
const STEP_TIMEOUT: Duration = Duration::from_secs(10);

/// How long to wait after a step that failed.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// A step towards the desired membership.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// Complete an unfinished change of the voters: leave the joint configuration.
    LeaveJoint,
    /// Remove a learner that is not registered: the rest of an unfinished removal.
    RemoveUnregistered(NodeId),
    /// Sign that this entry has registered a node.
    Vouch(NodeId, LogIndex),
    /// Add a registered node as a learner.
    AddLearner(NodeId, String),
    /// Record in its registration that a member has data.
    RecordData(NodeId, Registration),
    /// Make a learner that has caught up a voter.
    Promote(NodeId),
    /// Remove a voter that was silent for too long.
    RemoveSilent(NodeId),
    /// Drop the vouchers of registrations up to this entry.
    DropVouchers(LogIndex),
}

impl Admin {
    /// Reconciles the membership while this node leads. Never returns.
    pub(crate) async fn reconcile(self: Arc<Self>) {
        let mut leading_since: Option<(Term, Instant)> = None;
        loop {
            sleep(CHECK_INTERVAL).await;
            if !self.leads() {
                leading_since = None;
                continue;
            }
            let term = self.context.raft.view().term;
            let (_, since) = *leading_since.insert(
                leading_since
                    .filter(|(known, _)| *known == term)
                    .unwrap_or((term, Instant::now())),
            );
            // If another change is in progress, its task holds the lock.
            let Ok(_lock) = self.change_lock.try_lock() else {
                continue;
            };
            if self.next_step(since).is_none() {
                continue;
            }
            if let Err(problem) = self.run_steps(since).await {
                tracing::warn!(%problem, "a step towards the desired membership failed; it is retried");
                sleep(RETRY_PAUSE).await;
            }
        }
    }

    /// Runs all steps that are possible now.
    async fn run_steps(&self, since: Instant) -> Result<(), Problem> {
        // Another leader may have done the step already, and this one has not applied that yet.
        self.reconciler_task().catch_up().await?;
        while let Some(step) = self.next_step(since) {
            self.run_step(step).await?;
        }
        Ok(())
    }

    fn next_step(&self, since: Instant) -> Option<Step> {
        let snapshot = self.membership_snapshot();
        let knows_members = self.check_founded().is_ok();
        let cleanup = self.context.config.cleanup;
        membership_step(&snapshot, knows_members)
            .or_else(|| {
                silent_voter_step(&snapshot, cleanup?, since.elapsed()).filter(|_| knows_members)
            })
            .or_else(|| self.stale_vouchers(&snapshot))
    }

    /// Drops the vouchers of registrations that every node has in its checkpoint: such a node knows
    /// them even if it loses its log.
    fn stale_vouchers(&self, snapshot: &MembershipSnapshot) -> Option<Step> {
        let nodes = snapshot.nodes().into_iter();
        let reached = nodes
            .map(|node| self.context.gossip.checkpoint(node))
            .min()?;
        let (oldest, _) = snapshot.node_registry.vouchers.kept.first_key_value()?;
        (*oldest <= reached).then_some(Step::DropVouchers(reached))
    }

    fn reconciler_task(&self) -> LeaderTask<'_> {
        self.task(Instant::now() + STEP_TIMEOUT)
    }

    async fn run_step(&self, step: Step) -> Result<(), Problem> {
        let task = self.reconciler_task();
        let snapshot = self.membership_snapshot();
        match step {
            Step::LeaveJoint => task.leave_joint(&snapshot).await,
            Step::RemoveUnregistered(node) => {
                let change = MembersChange::RemoveLearner(node);
                task.change_membership(&snapshot, change).await?;
                tracing::info!(%node, "removed a learner that is not registered");
                Ok(())
            }
            Step::Vouch(node, index) => {
                let NodeContext { config, .. } = &*self.context;
                let voucher = vouch(&config.identity, config.cluster, node, index);
                task.commit(Command::Vouch(voucher)).await?;
                tracing::debug!(%node, %index, "vouched for a node");
                Ok(())
            }
            Step::DropVouchers(index) => {
                task.commit(Command::DropVouchers(index)).await?;
                tracing::debug!(%index, "dropped vouchers that nobody needs any more");
                Ok(())
            }
            Step::AddLearner(node, address) => {
                let change = MembersChange::AddLearner(node, address.clone());
                task.change_membership(&snapshot, change).await?;
                tracing::info!(%node, address, "added a learner");
                Ok(())
            }
            Step::RecordData(node, registration) => {
                task.register(node, registration).await?;
                tracing::info!(%node, "recorded that a member has data");
                Ok(())
            }
            Step::Promote(node) => {
                let mut voters = snapshot.membership.voters();
                voters.insert(node);
                task.set_voters(&snapshot, voters, true).await?;
                tracing::info!(%node, "promoted a learner to voter");
                Ok(())
            }
            Step::RemoveSilent(node) => {
                tracing::warn!(%node, "removing a voter that was silent for long");
                let mut rest = snapshot.membership.voters();
                rest.remove(&node);
                task.remove_member(&snapshot, node, rest, false).await
            }
        }
    }
}

/// The next step of the membership. `None` while a change is uncommitted: until it commits, nothing
/// else can.
fn membership_step(snapshot: &MembershipSnapshot, knows_members: bool) -> Option<Step> {
    let membership = &snapshot.membership;
    if !membership.is_committed {
        return None;
    }
    if membership.is_joint() {
        return Some(Step::LeaveJoint);
    }
    if !knows_members {
        return None;
    }
    let members = || membership.nodes.keys().copied();
    let registered = snapshot.node_registry.registrations.iter();
    let mut registered = registered.map(|(key, registration)| (NodeId(*key), registration));
    let voters = membership.voters();
    let removed = members()
        .find(|node| !voters.contains(node) && snapshot.registration(*node).is_none())
        .map(Step::RemoveUnregistered);
    let added = || {
        let (node, registration) = registered.find(|(node, _)| !snapshot.is_member(*node))?;
        Some(Step::AddLearner(node, registration.address.clone()))
    };
    let recorded = || {
        members().find_map(|node| {
            data_registration(snapshot, node)
                .map(|registration| Step::RecordData(node, registration))
        })
    };
    let promoted = || {
        let may_be_promoted = |node: &NodeId| {
            let registration = snapshot.registration(*node);
            let may_vote = registration.is_some_and(|known| !known.stays_learner);
            let mut voters = voters.clone();
            voters.insert(*node)
                && may_vote
                && snapshot.has_caught_up(*node)
                && snapshot.check_quorum(&voters).is_ok()
        };
        members().find(may_be_promoted).map(Step::Promote)
    };
    let vouched = || {
        let (node, index) = snapshot.node_registry.unvouched(snapshot.leader)?;
        Some(Step::Vouch(node, index))
    };
    // A node is vouched for before it is added, so that every member has a voucher.
    removed
        .or_else(vouched)
        .or_else(added)
        .or_else(recorded)
        .or_else(promoted)
}

/// The new registration of a member, if it must change. A member is recorded as having data only once
/// it is known to have entries.
fn data_registration(snapshot: &MembershipSnapshot, node: NodeId) -> Option<Registration> {
    let known = snapshot.registration(node);
    // If the cluster has changed its members after it was founded, every voter has had entries, even if
    // it is silent now. A voter without a registration is left from an interrupted removal.
    let was_caught_up = snapshot.membership.is_voter(node)
        && known.is_none()
        && snapshot
            .membership
            .position
            .is_some_and(|at| at.index > LogIndex(0));
    if !snapshot.has_entries(node) && !was_caught_up {
        return None;
    }
    let mut registration = snapshot.registration_to_change(node);
    registration.has_data = true;
    (known != Some(&registration)).then_some(registration)
}

/// Removes a voter that was silent for longer than `cleanup` allows, if enough voters stay and a
/// majority of them is alive. Silence is only counted from when this leader was elected.
fn silent_voter_step(
    snapshot: &MembershipSnapshot,
    cleanup: Cleanup,
    led_for: Duration,
) -> Option<Step> {
    let voters = snapshot.membership.voters();
    if voters.len() <= cleanup.voters_min || !snapshot.membership.is_committed {
        return None;
    }
    let is_gone = |node: &NodeId| {
        let silence = snapshot.silence(*node).unwrap_or(led_for).min(led_for);
        let mut rest = voters.clone();
        rest.remove(node);
        *node != snapshot.leader && silence >= cleanup.after && snapshot.check_quorum(&rest).is_ok()
    };
    let gone = voters.iter().copied().find(is_gone);
    gone.map(Step::RemoveSilent)
}

#[cfg(test)]
#[path = "reconciler_tests.rs"]
mod tests;
