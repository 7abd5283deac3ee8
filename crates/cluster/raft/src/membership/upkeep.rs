//! What the leader does unasked until all members are what they shall be. One step at a time, each of
//! which may be the last of this leader: the next one sees what is left to be done.

use std::{sync::Arc, time::Duration};

use quorate_api::Problem;
use quorate_peer::{NodeId, vouch};
use quorate_state::{Command, LogIndex, Registration, Term};
use tokio::time::{Instant, sleep};

use super::{
    admin::{Admin, Order},
    standing::Standing,
};
use crate::{adapters::MembersChange, config::Cleanup, parts::Parts};

/// How often to look whether something is to be done.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// How long a step may take, for which no operator waits: then a majority is most likely not heard.
const STEP_TIMEOUT: Duration = Duration::from_secs(10);

/// How long to wait after a step that could not be made.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// Complete a change of the voters that was half made.
    Flatten,
    /// Remove a learner that is not registered: what is left of a node that was removed.
    Drop(NodeId),
    /// Sign that this entry has registered a node.
    Vouch(NodeId, LogIndex),
    /// Take a registered node in as a learner.
    TakeIn(NodeId, String),
    /// Note what is known of a member.
    Note(NodeId, Registration),
    /// Let a learner vote that has caught up.
    Promote(NodeId),
    /// Remove a voter that was not heard for long.
    CleanUp(NodeId),
    /// Drop the vouchers of registrations up to this entry.
    DropVouchers(LogIndex),
}

impl Admin {
    /// Keeps the members what they shall be, while this node leads. Never returns.
    pub(crate) async fn keep_members(self: Arc<Self>) {
        let mut reign: Option<(Term, Instant)> = None;
        loop {
            sleep(LOOK_INTERVAL).await;
            if !self.leads() {
                reign = None;
                continue;
            }
            let term = self.parts.raft.view().term;
            let (_, since) = *reign.insert(
                reign
                    .filter(|(known, _)| *known == term)
                    .unwrap_or((term, Instant::now())),
            );
            // Another change is under way: whoever makes it has the lock.
            let Ok(_lock) = self.change_lock.try_lock() else {
                continue;
            };
            if self.due(since).is_none() {
                continue;
            }
            if let Err(problem) = self.converge(since).await {
                tracing::warn!(%problem, "the members are not what they shall be yet");
                sleep(RETRY_PAUSE).await;
            }
        }
    }

    /// Makes all steps that can be made.
    async fn converge(&self, since: Instant) -> Result<(), Problem> {
        // What is due may have been done by another leader, which this one has not applied yet.
        self.unasked().catch_up().await?;
        while let Some(step) = self.due(since) {
            self.make_step(step).await?;
        }
        Ok(())
    }

    fn due(&self, since: Instant) -> Option<Step> {
        let standing = self.standing();
        let knows_members = self.check_founded().is_ok();
        let cleanup = self.parts.config.cleanup;
        due(&standing, knows_members)
            .or_else(|| clean_up(&standing, cleanup?, since.elapsed()).filter(|_| knows_members))
            .or_else(|| self.stale_vouchers(&standing))
    }

    /// Those of registrations that every node has in its checkpoint, and so knows whatever becomes of
    /// its log.
    fn stale_vouchers(&self, standing: &Standing) -> Option<Step> {
        let nodes = standing.nodes().into_iter();
        let reached = nodes
            .map(|node| self.parts.exchange.checkpoint(node))
            .min()?;
        let (oldest, _) = standing.roll.vouchers.kept.first_key_value()?;
        (*oldest <= reached).then_some(Step::DropVouchers(reached))
    }

    fn unasked(&self) -> Order<'_> {
        self.order(Instant::now() + STEP_TIMEOUT)
    }

    async fn make_step(&self, step: Step) -> Result<(), Problem> {
        let order = self.unasked();
        let standing = self.standing();
        match step {
            Step::Flatten => order.flatten(&standing).await,
            Step::Drop(node) => {
                let change = MembersChange::RemoveLearner(node);
                order.make(&standing, change).await?;
                tracing::info!(%node, "removed a learner that is not registered");
                Ok(())
            }
            Step::Vouch(node, index) => {
                let Parts { config, .. } = &*self.parts;
                let voucher = vouch(&config.identity, config.cluster, node, index);
                order.commit(Command::Vouch(voucher)).await?;
                tracing::debug!(%node, %index, "vouched for a node");
                Ok(())
            }
            Step::DropVouchers(index) => {
                order.commit(Command::DropVouchers(index)).await?;
                tracing::debug!(%index, "dropped vouchers that nobody needs any more");
                Ok(())
            }
            Step::TakeIn(node, address) => {
                let change = MembersChange::AddLearner(node, address.clone());
                order.make(&standing, change).await?;
                tracing::info!(%node, address, "took in a learner");
                Ok(())
            }
            Step::Note(node, registration) => {
                order.register(node, registration).await?;
                tracing::info!(%node, "noted that a member has data");
                Ok(())
            }
            Step::Promote(node) => {
                let mut voters = standing.membership.voters();
                voters.insert(node);
                order.set_voters(&standing, voters, true).await?;
                tracing::info!(%node, "made a learner a voter");
                Ok(())
            }
            Step::CleanUp(node) => {
                tracing::warn!(%node, "removing a voter that was not heard for long");
                let mut rest = standing.membership.voters();
                rest.remove(&node);
                order.expel(&standing, node, rest).await
            }
        }
    }
}

/// What is to be done next. Nothing while a change is not committed: if it cannot be, nothing can.
fn due(standing: &Standing, knows_members: bool) -> Option<Step> {
    let membership = &standing.membership;
    if !membership.is_committed {
        return None;
    }
    if membership.is_joint() {
        return Some(Step::Flatten);
    }
    if !knows_members {
        return None;
    }
    let members = || membership.nodes.keys().copied();
    let registered = standing.roll.registrations.iter();
    let mut registered = registered.map(|(key, registration)| (NodeId(*key), registration));
    let voters = membership.voters();
    let dropped = members()
        .find(|node| !voters.contains(node) && standing.registration(*node).is_none())
        .map(Step::Drop);
    let taken_in = || {
        let (node, registration) = registered.find(|(node, _)| !standing.is_member(*node))?;
        Some(Step::TakeIn(node, registration.address.clone()))
    };
    let noted = || {
        members().find_map(|node| {
            note(standing, node).map(|registration| Step::Note(node, registration))
        })
    };
    let promoted = || {
        let is_wanted = |node: &NodeId| {
            let registration = standing.registration(*node);
            let may_vote = registration.is_some_and(|known| !known.stays_learner);
            let mut voters = voters.clone();
            voters.insert(*node)
                && may_vote
                && standing.has_caught_up(*node)
                && standing.check_quorum(&voters).is_ok()
        };
        members().find(is_wanted).map(Step::Promote)
    };
    let vouched = || {
        let (node, index) = standing.roll.unvouched(standing.leader)?;
        Some(Step::Vouch(node, index))
    };
    // Vouched for before it is a member, so that no member is without.
    dropped
        .or_else(vouched)
        .or_else(taken_in)
        .or_else(noted)
        .or_else(promoted)
}

/// What is to be known of a member from now on, if that is more than is known. That it has data says
/// only who has been seen with entries.
fn note(standing: &Standing, node: NodeId) -> Option<Registration> {
    let known = standing.registration(node);
    // A voter of a cluster that has changed its members since it was founded has had entries, be it
    // silent now: only one whose removal was broken off is not registered.
    let was_caught_up = standing.membership.is_voter(node)
        && known.is_none()
        && standing
            .membership
            .position
            .is_some_and(|at| at.index > LogIndex(0));
    if !standing.has_entries(node) && !was_caught_up {
        return None;
    }
    let mut registration = standing.registration_to_change(node);
    registration.has_data = true;
    (known != Some(&registration)).then_some(registration)
}

/// A voter that was silent for so long that it goes, while enough stay of whom a majority lives. Of
/// one that was never heard the leader knows only since it leads.
fn clean_up(standing: &Standing, cleanup: Cleanup, reign: Duration) -> Option<Step> {
    let voters = standing.membership.voters();
    if voters.len() <= cleanup.voters_min || !standing.membership.is_committed {
        return None;
    }
    let is_gone = |node: &NodeId| {
        let silence = standing.silence(*node).unwrap_or(reign).min(reign);
        let mut rest = voters.clone();
        rest.remove(node);
        *node != standing.leader && silence >= cleanup.after && standing.check_quorum(&rest).is_ok()
    };
    let gone = voters.iter().copied().find(is_gone);
    gone.map(Step::CleanUp)
}

#[cfg(test)]
#[path = "upkeep_tests.rs"]
mod tests;
