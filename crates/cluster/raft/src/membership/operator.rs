//! Requests of operators, which any node accepts and forwards to the leader.

use futures_util::future::BoxFuture;
use quorate_api::{
    AdminRequest, ChangeMember, CreatedInvite, ForwardedRequest, InviteRequest, MemberChange,
    OpenInvite, Problem, decode_answer,
};
use quorate_packet::PublicKey;
use quorate_peer::JoinToken;
use quorate_replica::{Operator, ReadError, StoredPacket};
use quorate_state::{InviteId, LogIndex};
use serde::Serialize;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::{
    changes::done,
    problems::{failed, no_leader, not_a_member},
};
use crate::{Node, node::OpenNode};

impl Operator for Node {
    fn operate(&self, asked: ForwardedRequest) -> BoxFuture<'_, Result<Value, Problem>> {
        Box::pin(async move {
            let open = self.opened().map_err(|_| no_leader())?;
            match asked.request {
                AdminRequest::Members(_) => open.service.admin.members(asked).await,
                AdminRequest::Invite(ref request) => {
                    let invited = open.invite(request.clone(), asked).await?;
                    Ok(to_value(&invited))
                }
                _ => open.ask_leader(asked).await,
            }
        })
    }

    fn packets_after(
        &self,
        after: Option<PublicKey>,
        count: usize,
    ) -> Result<Vec<StoredPacket>, ReadError> {
        let open = self.readable()?;
        let stored = open.context.store.packets_after(after.as_ref(), count);
        Ok(stored.into_iter().map(|it| open.shown(it)).collect())
    }
}

impl OpenNode {
    /// Returns the leader's answer once this node has applied the change.
    async fn ask_leader(&self, asked: ForwardedRequest) -> Result<Value, Problem> {
        let until = Instant::now() + asked.time_left();
        // If an answer was lost, the retried request finds the packet deleted already.
        let deletes_own = matches!(
            &asked.request,
            AdminRequest::DeletePacket(deleted) if self.index.packet(&deleted.key).is_some()
        );
        let removes_own = self.is_own_removal(&asked.request);
        let mut answered = match self.service.admin.ask(asked).await {
            // The answer to its own removal may not arrive: the leader no longer admits it.
            Err(problem) if removes_own && problem == not_a_member() => {
                return Ok(to_value(&done(self.context.config.node, Vec::new())));
            }
            answered => answered?,
        };
        if deletes_own {
            answered.answer["was_stored"] = true.into();
        }
        self.changed_here(answered.index, until).await?;
        Ok(answered.answer)
    }

    /// Creates the secret of a token, and makes the leader open its invite.
    async fn invite(
        &self,
        request: InviteRequest,
        asked: ForwardedRequest,
    ) -> Result<CreatedInvite, Problem> {
        let until = Instant::now() + asked.time_left();
        let (id, seed) = (InviteId(random()?), random()?);
        let key = PublicKey::from_bytes(JoinToken::public_key_of(&seed));
        let open = ForwardedRequest {
            request: OpenInvite { id, key, request }.into(),
            ..asked
        };
        let answered = self.service.admin.ask(open).await?;
        let expires_ms = decode_answer::<OpenInvite>(answered.answer)?;
        // From then on this node recognises a joiner with that token.
        let known = self
            .context
            .peers
            .membership_view
            .until(|node_registry| node_registry.invites.contains_key(&id));
        if timeout_at(until, known).await != Ok(true) {
            return Err(no_leader());
        }
        let mut members: Vec<_> = self
            .context
            .peers
            .membership_view
            .members()
            .into_iter()
            .collect();
        // Only voters register joiners. A token has space for some of them: this node, which evidently
        // answers, comes first.
        members.retain(|(node, _)| self.context.peers.membership_view.votes(*node));
        members.sort_by_key(|(node, _)| *node != self.context.config.node);
        Ok(CreatedInvite {
            token: JoinToken::new(self.context.config.cluster, id, seed, members).to_string(),
            invite: id.to_string(),
            expires_ms,
        })
    }

    /// Waits until this node has applied the entry at `index`.
    async fn changed_here(&self, index: LogIndex, until: Instant) -> Result<(), Problem> {
        let mut applied = self.write_path.applied.clone();
        let applied = applied.wait_for(|meta| meta.applied_index() >= index);
        match timeout_at(until, applied).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(failed(
                "the change is made, but this node has not applied it yet: retry",
            )),
        }
    }

    /// Whether the request removes or replaces this node itself, according to the members it knows.
    fn is_own_removal(&self, request: &AdminRequest) -> bool {
        let AdminRequest::ChangeMember(ChangeMember {
            node,
            change: MemberChange::Remove(_) | MemberChange::Replace(_),
        }) = request
        else {
            return false;
        };
        let found = self.service.admin.membership_snapshot().find(node);
        found.is_ok_and(|found| found == self.context.config.node)
    }
}

fn random<const SIZE: usize>() -> Result<[u8; SIZE], Problem> {
    let mut bytes = [0; SIZE];
    let no_randomness = |error: getrandom::Error| failed(error.to_string());
    getrandom::fill(&mut bytes).map_err(no_randomness)?;
    Ok(bytes)
}

fn to_value(answer: &impl Serialize) -> Value {
    serde_json::to_value(answer).expect("an answer is JSON")
}
