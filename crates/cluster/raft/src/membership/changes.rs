//! Changes of the members that operators ask for. Each may be asked for again, whatever has become
//! of it: what is done already stays, and the rest is done.

use quorate_api::{ChangeMember, ChangeReport, ChangeState, MemberChange, Problem, ReplaceRequest};
use quorate_peer::NodeId;
use quorate_state::Registration;

use super::{
    address::is_dialable,
    admin::Order,
    members_now::{MembershipSnapshot, warnings},
    refusals::{bad_address, no_leader, unsuitable_node},
};
use crate::adapters::MembersChange;

/// What came of a change.
type Changed = Result<ChangeReport, Problem>;

impl Order<'_> {
    /// Makes a change; the lock of changes is held.
    pub(super) async fn change(&self, change: ChangeMember) -> Changed {
        let ChangeMember { node, change } = change;
        // A member that is gone may be what keeps the cluster at its level.
        if !matches!(change, MemberChange::Remove(_)) {
            self.check_founded()?;
        }
        let members_now = self.settled().await?;
        match change {
            MemberChange::Promote(asked) => self.promote(members_now, &node, asked.force).await,
            MemberChange::Demote(asked) => self.demote(members_now, &node, asked.force).await,
            MemberChange::Remove(asked) => self.remove(members_now, &node, asked.force).await,
            MemberChange::Replace(asked) => self.replace(members_now, &node, asked).await,
            MemberChange::Move(asked) => self.move_to(members_now, &node, asked.address).await,
        }
    }

    async fn promote(&self, members_now: MembershipSnapshot, text: &str, force: bool) -> Changed {
        let node = members_now.find_known(text)?;
        let mut voters = members_now.membership.voters();
        self.set_stays_learner(&members_now, node, false).await?;
        if let Some(lag) = self.waits(node).await? {
            return Ok(behind(node, lag));
        }
        if voters.insert(node) {
            self.check_quorum(&voters, force).await?;
            self.set_voters(&members_now, voters.clone(), true).await?;
        }
        Ok(done(node, warnings(&voters)))
    }

    async fn demote(&self, members_now: MembershipSnapshot, text: &str, force: bool) -> Changed {
        let node = members_now.find_known(text)?;
        let mut voters = members_now.membership.voters();
        if voters.remove(&node) {
            self.check_quorum(&voters, force).await?;
            self.step_down(&members_now, node).await?;
            self.set_stays_learner(&members_now, node, true).await?;
            self.set_voters(&members_now, voters.clone(), true).await?;
        } else {
            self.set_stays_learner(&members_now, node, true).await?;
        }
        Ok(done(node, warnings(&voters)))
    }

    async fn remove(&self, members_now: MembershipSnapshot, text: &str, force: bool) -> Changed {
        let mut voters = members_now.membership.voters();
        let node = members_now.find(text)?;
        if !members_now.knows(node) {
            let mut changed = done(node, warnings(&voters));
            changed.warnings.push("it is no member".to_owned());
            return Ok(changed);
        }
        if voters.remove(&node) {
            self.check_quorum(&voters, force).await?;
            self.step_down(&members_now, node).await?;
        }
        self.remove_member(&members_now, node, voters.clone())
            .await?;
        Ok(done(node, warnings(&voters)))
    }

    /// Puts `new` in the place of `old` in one step, so that the number of voters stays as it is, and
    /// no quorum is ever larger than it was.
    async fn replace(
        &self,
        members_now: MembershipSnapshot,
        old: &str,
        asked: ReplaceRequest,
    ) -> Changed {
        let ReplaceRequest { with, force } = asked;
        let new = members_now.find_known(&with)?;
        let voters = members_now.membership.voters();
        // It was removed before. A name would not tell: it may be misspelt.
        if !members_now.knows(members_now.find(old)?) && voters.contains(&new) {
            let mut changed = done(new, warnings(&voters));
            let text = format!("no node is called {old:?} any more");
            changed.warnings.push(text);
            return Ok(changed);
        }
        let old = members_now.find_known(old)?;
        if old == new {
            let text = "a node cannot replace itself: start one with a new key";
            return Err(unsuitable_node(text));
        }
        if !voters.contains(&old) && !voters.contains(&new) {
            let text = "it is no voter: remove it instead";
            return Err(unsuitable_node(text));
        }
        self.set_stays_learner(&members_now, new, false).await?;
        if let Some(lag) = self.waits(new).await? {
            return Ok(behind(new, lag));
        }
        let mut replaced = voters.clone();
        replaced.insert(new);
        if members_now.leader == old && voters.len() == 1 {
            // It leads to the end: so the new one votes first, and takes over.
            self.check_quorum(&replaced, force).await?;
            self.set_voters(&members_now, replaced, true).await?;
            let leader = self.hand_over(&[new]).await?;
            tracing::info!(%leader, "handed over to the replacement");
            return Err(no_leader());
        }
        replaced.remove(&old);
        self.check_quorum(&replaced, force).await?;
        self.step_down(&members_now, old).await?;
        self.remove_member(&members_now, old, replaced.clone())
            .await?;
        tracing::info!(%old, %new, "a node has replaced another");
        Ok(done(new, warnings(&replaced)))
    }

    async fn move_to(
        &self,
        members_now: MembershipSnapshot,
        text: &str,
        address: String,
    ) -> Changed {
        if !is_dialable(&address) {
            return Err(bad_address(&address));
        }
        let node = members_now.find_known(text)?;
        let registration = members_now.registration(node);
        if let Some(registration) = registration.filter(|known| known.address != address) {
            let registration = Registration {
                address: address.clone(),
                ..registration.clone()
            };
            self.register(node, registration).await?;
        }
        let voters = members_now.membership.voters();
        let of_member = members_now.membership.nodes.get(&node);
        if of_member.is_some_and(|known| *known != address) {
            tracing::info!(%node, address, "a member is elsewhere");
            let change = MembersChange::Move(node, address);
            self.make(&members_now, change).await?;
        }
        Ok(done(node, warnings(&voters)))
    }
}

fn behind(node: NodeId, lag: u64) -> ChangeReport {
    ChangeReport {
        state: ChangeState::CatchingUp,
        lag: Some(lag),
        ..done(node, Vec::new())
    }
}

pub(super) fn done(node: NodeId, warnings: Vec<String>) -> ChangeReport {
    ChangeReport {
        state: ChangeState::Done,
        node: node.to_string(),
        lag: None,
        warnings,
    }
}
