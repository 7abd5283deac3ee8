//! Changes of the members that operators request. Each may be requested again at any time: the steps
//! that an earlier attempt has done stay, and the others are done.

use quorate_api::{
    ChangeMember, ChangeReport, ChangeState, MemberChange, Problem, RemoveRequest, ReplaceRequest,
};
use quorate_peer::NodeId;
use quorate_state::Registration;

use super::{
    address::is_dialable,
    admin::LeaderTask,
    membership_snapshot::{MembershipSnapshot, warnings},
    problems::{bad_address, no_leader, unsuitable_node},
};
use crate::adapters::MembersChange;

type ChangeResult = Result<ChangeReport, Problem>;

impl LeaderTask<'_> {
    /// Makes a change. The caller holds the change lock.
    pub(super) async fn change(&self, change: ChangeMember) -> ChangeResult {
        let ChangeMember { node, change } = change;
        // Removal works even before the founding: a dead member may keep the cluster at its level.
        if !matches!(change, MemberChange::Remove(_)) {
            self.check_founded()?;
        }
        let snapshot = self.wait_until_settled().await?;
        match change {
            MemberChange::Promote(request) => self.promote(snapshot, &node, request.force).await,
            MemberChange::Demote(request) => self.demote(snapshot, &node, request.force).await,
            MemberChange::Remove(request) => self.remove(snapshot, &node, request).await,
            MemberChange::Replace(request) => self.replace(snapshot, &node, request).await,
            MemberChange::Move(request) => self.move_to(snapshot, &node, request.address).await,
        }
    }

    async fn promote(&self, snapshot: MembershipSnapshot, text: &str, force: bool) -> ChangeResult {
        let node = snapshot.find_known(text)?;
        let mut voters = snapshot.membership.voters();
        self.set_stays_learner(&snapshot, node, false).await?;
        if let Some(lag) = self.promotion_lag(node).await? {
            return Ok(catching_up_report(node, lag));
        }
        if voters.insert(node) {
            self.check_quorum(&voters, force).await?;
            self.set_voters(&snapshot, voters.clone(), true).await?;
        }
        Ok(done_report(node, warnings(&voters)))
    }

    async fn demote(&self, snapshot: MembershipSnapshot, text: &str, force: bool) -> ChangeResult {
        let node = snapshot.find_known(text)?;
        let mut voters = snapshot.membership.voters();
        if voters.remove(&node) {
            self.check_quorum(&voters, force).await?;
            self.step_down(&snapshot, node).await?;
            self.set_stays_learner(&snapshot, node, true).await?;
            self.set_voters(&snapshot, voters.clone(), true).await?;
        } else {
            self.set_stays_learner(&snapshot, node, true).await?;
        }
        Ok(done_report(node, warnings(&voters)))
    }

    /// Removes a member. Its removal demands another cluster key.
    async fn remove(
        &self,
        snapshot: MembershipSnapshot,
        text: &str,
        RemoveRequest { force, compromised }: RemoveRequest,
    ) -> ChangeResult {
        let mut voters = snapshot.membership.voters();
        let node = snapshot.find(text)?;
        if !snapshot.knows(node) {
            if compromised {
                self.replace_secrets().await?;
            }
            let mut changed = done_report(node, warnings(&voters));
            changed.warnings.push("it is not a member".to_owned());
            return Ok(changed);
        }
        if voters.remove(&node) {
            self.check_quorum(&voters, force).await?;
            self.step_down(&snapshot, node).await?;
        }
        let rest = voters.clone();
        self.remove_member(&snapshot, node, rest, compromised)
            .await?;
        Ok(done_report(node, warnings(&voters)))
    }

    /// Replaces `old` by `new` in one step, so that the number of voters stays the same and no quorum
    /// is ever larger than before.
    async fn replace(
        &self,
        snapshot: MembershipSnapshot,
        old: &str,
        request: ReplaceRequest,
    ) -> ChangeResult {
        let ReplaceRequest { with, force } = request;
        let new = snapshot.find_known(&with)?;
        let voters = snapshot.membership.voters();
        // An earlier attempt has removed it. Only a key proves that: a name may be misspelled.
        if !snapshot.knows(snapshot.find(old)?) && voters.contains(&new) {
            let mut changed = done_report(new, warnings(&voters));
            let text = format!("{old:?} is not a member any more");
            changed.warnings.push(text);
            return Ok(changed);
        }
        let old = snapshot.find_known(old)?;
        if old == new {
            let text = "a node cannot replace itself: start one with a new key";
            return Err(unsuitable_node(text));
        }
        if !voters.contains(&old) && !voters.contains(&new) {
            let text = "only a voter can be replaced, and neither node is one: remove the old node instead";
            return Err(unsuitable_node(text));
        }
        self.set_stays_learner(&snapshot, new, false).await?;
        if let Some(lag) = self.promotion_lag(new).await? {
            return Ok(catching_up_report(new, lag));
        }
        let mut replaced = voters.clone();
        replaced.insert(new);
        if snapshot.leader == old && voters.len() == 1 {
            // The only voter must lead to the end: the new node becomes a voter first and takes over.
            self.check_quorum(&replaced, force).await?;
            self.set_voters(&snapshot, replaced, true).await?;
            let leader = self.hand_over(&[new]).await?;
            tracing::info!(%leader, "handed over to the replacement");
            return Err(no_leader());
        }
        replaced.remove(&old);
        self.check_quorum(&replaced, force).await?;
        self.step_down(&snapshot, old).await?;
        self.remove_member(&snapshot, old, replaced.clone(), false)
            .await?;
        tracing::info!(%old, %new, "a node has replaced another");
        Ok(done_report(new, warnings(&replaced)))
    }

    async fn move_to(
        &self,
        snapshot: MembershipSnapshot,
        text: &str,
        address: String,
    ) -> ChangeResult {
        if !is_dialable(&address) {
            return Err(bad_address(&address));
        }
        let node = snapshot.find_known(text)?;
        let registration = snapshot.registration(node);
        if let Some(registration) = registration.filter(|known| known.address != address) {
            let registration = Registration {
                address: address.clone(),
                ..registration.clone()
            };
            self.register(node, registration).await?;
        }
        let voters = snapshot.membership.voters();
        let member_address = snapshot.membership.nodes.get(&node);
        if member_address.is_some_and(|known| *known != address) {
            tracing::info!(%node, address, "the address of a member changes");
            let change = MembersChange::Move(node, address);
            self.change_membership(&snapshot, change).await?;
        }
        Ok(done_report(node, warnings(&voters)))
    }
}

fn catching_up_report(node: NodeId, lag: u64) -> ChangeReport {
    ChangeReport {
        state: ChangeState::CatchingUp,
        lag: Some(lag),
        ..done_report(node, Vec::new())
    }
}

pub(super) fn done_report(node: NodeId, warnings: Vec<String>) -> ChangeReport {
    ChangeReport {
        state: ChangeState::Done,
        node: node.to_string(),
        lag: None,
        warnings,
    }
}
