//! Changes of the members that operators ask for. Each may be asked for again, whatever has become
//! of it: what is done already stays, and the rest is done.

use std::{collections::BTreeSet, time::Duration};

use quorate_rpc::{
    NodeId,
    operate::{Change, Changed, Refusal},
};
use quorate_state::{Command, LogIndex, Registration};
use tokio::time::{Instant, sleep, timeout};

use super::{
    address::is_dialable,
    admin::Admin,
    standing::{Named, Standing, warnings},
};
use crate::adapters::{MembersChange, MembersError};

/// How long a majority may take to commit a change of the members. What is begun by then goes on.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(10);

impl Admin {
    /// Makes a change; the lock of changes is held.
    pub(super) async fn change(&self, change: Change, force: bool) -> Result<Changed, Refusal> {
        self.check_level()?;
        let standing = self.settled().await?;
        match change {
            Change::Promote(node) => self.promote(standing, &node, force).await,
            Change::Demote(node) => self.demote(standing, &node, force).await,
            Change::Remove(node) => self.remove(standing, &node, force).await,
            Change::Replace { old, new } => self.replace(standing, &old, &new, force).await,
            Change::Move { node, address } => self.move_to(standing, &node, address).await,
        }
    }

    async fn promote(
        &self,
        standing: Standing,
        text: &str,
        force: bool,
    ) -> Result<Changed, Refusal> {
        let node = standing.find_known(text)?;
        let mut voters = standing.membership.voters();
        self.set_stays_learner(&standing, node, false).await?;
        if let Some(lag) = waits(&standing, node)? {
            return Ok(behind(node, lag));
        }
        if voters.insert(node) {
            self.check_quorum(&voters, force).await?;
            self.set_voters(&standing, voters.clone(), true).await?;
        }
        Ok(done(node, &voters))
    }

    async fn demote(
        &self,
        standing: Standing,
        text: &str,
        force: bool,
    ) -> Result<Changed, Refusal> {
        let node = standing.find_known(text)?;
        let mut voters = standing.membership.voters();
        if voters.remove(&node) {
            self.check_quorum(&voters, force).await?;
            self.step_down(&standing, node).await?;
            self.set_stays_learner(&standing, node, true).await?;
            self.set_voters(&standing, voters.clone(), true).await?;
        } else {
            self.set_stays_learner(&standing, node, true).await?;
        }
        Ok(done(node, &voters))
    }

    async fn remove(
        &self,
        standing: Standing,
        text: &str,
        force: bool,
    ) -> Result<Changed, Refusal> {
        let mut voters = standing.membership.voters();
        let node = match standing.find(text)? {
            Named::Known(node) => node,
            Named::Unknown(node) => {
                let mut changed = done(node, &voters);
                changed.warnings.push("it is no member".to_owned());
                return Ok(changed);
            }
        };
        if voters.remove(&node) {
            self.check_quorum(&voters, force).await?;
            self.step_down(&standing, node).await?;
        }
        self.expel(&standing, node).await?;
        Ok(done(node, &voters))
    }

    /// Puts `new` in the place of `old` in one step, so that the number of voters stays as it is, and
    /// no quorum is ever larger than it was.
    async fn replace(
        &self,
        standing: Standing,
        old: &str,
        new: &str,
        force: bool,
    ) -> Result<Changed, Refusal> {
        let new = standing.find_known(new)?;
        let voters = standing.membership.voters();
        let old = match standing.find(old) {
            Ok(Named::Known(old)) => old,
            // It was removed before, by its key or with its name.
            Ok(Named::Unknown(_)) | Err(Refusal::UnknownNode(_)) if voters.contains(&new) => {
                let mut changed = done(new, &voters);
                let text = format!("no node is called {old:?} any more");
                changed.warnings.push(text);
                return Ok(changed);
            }
            Ok(Named::Unknown(_)) => return Err(Refusal::UnknownNode(old.to_owned())),
            Err(refusal) => return Err(refusal),
        };
        if old == new {
            let text = "a node cannot replace itself: start one with a new key";
            return Err(Refusal::Unfit(text.to_owned()));
        }
        if !voters.contains(&old) && !voters.contains(&new) {
            let text = "it is no voter: remove it instead";
            return Err(Refusal::Unfit(text.to_owned()));
        }
        self.set_stays_learner(&standing, new, false).await?;
        if let Some(lag) = waits(&standing, new)? {
            return Ok(behind(new, lag));
        }
        let mut replaced = voters.clone();
        replaced.insert(new);
        if standing.leader == old && voters.len() == 1 {
            // It leads to the end: so the new one votes first, and takes over.
            self.check_quorum(&replaced, force).await?;
            self.set_voters(&standing, replaced, true).await?;
            let leader = self.hand_over(&[new]).await?;
            tracing::info!(%leader, "handed over to the replacement");
            return Err(Refusal::NoLeader);
        }
        replaced.remove(&old);
        self.check_quorum(&replaced, force).await?;
        self.step_down(&standing, old).await?;
        self.deregister(&standing, old).await?;
        if voters.contains(&old) {
            self.set_voters(&standing, replaced.clone(), false).await?;
        } else if standing.is_member(old) {
            let position = standing.membership.position;
            self.make(MembersChange::RemoveLearner(old), position)
                .await?;
        }
        tracing::info!(%old, %new, "a node has replaced another");
        Ok(done(new, &replaced))
    }

    async fn move_to(
        &self,
        standing: Standing,
        text: &str,
        address: String,
    ) -> Result<Changed, Refusal> {
        if !is_dialable(&address) {
            return Err(Refusal::BadAddress(address));
        }
        let node = standing.find_known(text)?;
        let registration = standing.registration(node);
        if let Some(registration) = registration.filter(|known| known.address != address) {
            let registration = Registration {
                address: address.clone(),
                ..registration.clone()
            };
            self.register(node, registration).await?;
        }
        let voters = standing.membership.voters();
        let of_member = standing.membership.nodes.get(&node);
        if of_member.is_some_and(|known| *known != address) {
            tracing::info!(%node, address, "a member is elsewhere");
            let change = MembersChange::Move(node, address);
            self.make(change, standing.membership.position).await?;
        }
        Ok(Changed {
            node,
            lag: None,
            warnings: warnings(&voters),
        })
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

    /// How the members are, once no change is half made.
    async fn settled(&self) -> Result<Standing, Refusal> {
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
    async fn check_quorum(&self, voters: &BTreeSet<NodeId>, force: bool) -> Result<(), Refusal> {
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
    async fn step_down(&self, standing: &Standing, node: NodeId) -> Result<(), Refusal> {
        if standing.leader != node {
            return Ok(());
        }
        let leader = self.hand_over(&self.handover.successors()).await?;
        tracing::info!(%leader, "handed over, to be no voter any more");
        Err(Refusal::NoLeader)
    }

    async fn set_stays_learner(
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

    async fn deregister(&self, standing: &Standing, node: NodeId) -> Result<(), Refusal> {
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
        tracing::info!(?voters, "changing the voters");
        let change = MembersChange::Voters { voters, retain };
        self.make(change, standing.membership.position).await
    }

    /// Changes the membership that the entry at `known` has brought.
    pub(super) async fn make(
        &self,
        change: MembersChange,
        known: Option<quorate_state::LogPosition>,
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
}

/// How many entries a node lacks that is to vote, if it cannot yet. One that is not heard cannot be
/// waited for.
fn waits(standing: &Standing, node: NodeId) -> Result<Option<u64>, Refusal> {
    let is_pending = !standing.is_member(node);
    let is_ready = standing.membership.voters().contains(&node) || standing.has_caught_up(node);
    match is_pending || standing.is_live(node) {
        _ if is_ready => Ok(None),
        true => Ok(Some(standing.lag(node))),
        false => Err(Refusal::NotCaughtUp),
    }
}

fn behind(node: NodeId, lag: u64) -> Changed {
    Changed {
        node,
        lag: Some(lag),
        warnings: Vec::new(),
    }
}

fn done(node: NodeId, voters: &BTreeSet<NodeId>) -> Changed {
    Changed {
        node,
        lag: None,
        warnings: warnings(voters),
    }
}
