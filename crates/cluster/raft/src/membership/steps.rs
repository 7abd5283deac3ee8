//! The steps of which changes of the members are made.

use std::{collections::BTreeSet, time::Duration};

use quorate_api::operate::Refusal;
use quorate_peer::NodeId;
use quorate_state::{Command, LogIndex, LogPosition, Registration};
use tokio::time::{Instant, sleep, timeout};

use super::{admin::Admin, standing::Standing};
use crate::adapters::{MembersChange, MembersError};

/// How long a majority may take to commit a change of the members. What is begun by then goes on.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(10);

impl Admin {
    /// How the members are, once no change is half made.
    pub(super) async fn settled(&self) -> Result<Standing, Refusal> {
        let deadline = Instant::now() + CHANGE_TIMEOUT;
        loop {
            let standing = self.standing();
            let membership = &standing.membership;
            match (membership.is_committed, membership.is_joint()) {
                (true, false) => return Ok(standing),
                (true, true) => self.flatten(&standing).await?,
                (false, _) if Instant::now() >= deadline => return Err(Refusal::Busy),
                (false, _) if !self.leads() => return Err(Refusal::NoLeader),
                (false, _) => sleep(self.config.heartbeat()).await,
            }
        }
    }

    /// Completes a change that was half made when its leader went.
    pub(super) async fn flatten(&self, standing: &Standing) -> Result<(), Refusal> {
        tracing::info!("completing a change of the voters that was half made");
        let position = standing.membership.position;
        self.make(MembersChange::Flatten, position).await
    }

    /// Fails if no majority of `voters` lives, unless forced. Who has just come back is heard within
    /// a heartbeat.
    pub(super) async fn check_quorum(
        &self,
        voters: &BTreeSet<NodeId>,
        force: bool,
    ) -> Result<(), Refusal> {
        let deadline = Instant::now() + self.silence_max();
        loop {
            match self.standing().check_quorum(voters) {
                Err(Refusal::NoLiveQuorum { .. }) if force => return Ok(()),
                Err(Refusal::NoLiveQuorum { .. }) if Instant::now() < deadline => {
                    sleep(self.config.heartbeat()).await;
                }
                checked => return checked,
            }
        }
    }

    /// A leader that shall not vote any more hands over first: its successor makes the change.
    pub(super) async fn step_down(&self, standing: &Standing, node: NodeId) -> Result<(), Refusal> {
        if standing.leader != node {
            return Ok(());
        }
        let leader = self.hand_over(&self.handover.successors()).await?;
        tracing::info!(%leader, "handed over, to be no voter any more");
        Err(Refusal::NoLeader)
    }

    pub(super) async fn set_stays_learner(
        &self,
        standing: &Standing,
        node: NodeId,
        stays_learner: bool,
    ) -> Result<(), Refusal> {
        let has_data = standing.others.get(&node).map(|other| other.matching) > Some(LogIndex(0));
        let known = standing.registration(node).cloned();
        let mut registration = known.clone().unwrap_or_else(|| Registration {
            address: standing.address(node),
            has_data: has_data || node == standing.leader,
            ..Registration::default()
        });
        registration.stays_learner = stays_learner;
        match known.as_ref() == Some(&registration) {
            true => Ok(()),
            false => self.register(node, registration).await,
        }
    }

    pub(super) async fn register(
        &self,
        node: NodeId,
        registration: Registration,
    ) -> Result<(), Refusal> {
        let node = node.0;
        let command = Command::Register { node, registration };
        self.commit(command).await.map(drop)
    }

    pub(super) async fn deregister(
        &self,
        standing: &Standing,
        node: NodeId,
    ) -> Result<(), Refusal> {
        match standing.registration(node) {
            Some(_) => self.commit(Command::Deregister(node.0)).await.map(drop),
            None => Ok(()),
        }
    }

    pub(super) async fn set_voters(
        &self,
        standing: &Standing,
        voters: BTreeSet<NodeId>,
        retain: bool,
    ) -> Result<(), Refusal> {
        let names: Vec<_> = voters.iter().map(ToString::to_string).collect();
        tracing::info!(voters = names.join(", "), "changing the voters");
        let change = MembersChange::Voters { voters, retain };
        self.make(change, standing.membership.position).await
    }

    /// Changes the membership that the entry at `known` has brought.
    pub(super) async fn make(
        &self,
        change: MembersChange,
        known: Option<LogPosition>,
    ) -> Result<(), Refusal> {
        let changed = self.raft.change_members(change, known);
        match timeout(CHANGE_TIMEOUT, changed).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(MembersError::NotLeader)) => Err(Refusal::NoLeader),
            Ok(Err(MembersError::Busy)) => Err(Refusal::Busy),
            Ok(Err(MembersError::Failed(text))) => Err(Refusal::Failed(text)),
            Err(_) => Err(Refusal::Failed(
                "the change is begun, and too few voters have taken it yet: it goes on when they \
                 are heard"
                    .to_owned(),
            )),
        }
    }

    /// Has a node be no member any more. First it is not registered any more: were it the last thing
    /// to be done and never were, the node would be taken in again.
    pub(super) async fn expel(&self, standing: &Standing, node: NodeId) -> Result<(), Refusal> {
        self.deregister(standing, node).await?;
        let mut voters = standing.membership.voters();
        if voters.remove(&node) {
            self.set_voters(standing, voters, false).await?;
        } else if standing.is_member(node) {
            let position = standing.membership.position;
            self.make(MembersChange::RemoveLearner(node), position)
                .await?;
        }
        tracing::info!(%node, "a node is no member any more");
        Ok(())
    }

    /// How many entries a node lacks that is to vote, if it cannot yet. One that is not heard cannot
    /// be waited for.
    pub(super) async fn waits(&self, node: NodeId) -> Result<Option<u64>, Refusal> {
        let deadline = Instant::now() + self.silence_max();
        loop {
            let standing = self.standing();
            let is_pending = !standing.is_member(node);
            if standing.membership.is_voter(node) || standing.has_caught_up(node) {
                return Ok(None);
            } else if is_pending || standing.is_live(node) {
                return Ok(Some(standing.lag(node)));
            } else if Instant::now() >= deadline {
                return Err(Refusal::NotCaughtUp);
            }
            sleep(self.config.heartbeat()).await;
        }
    }
}
