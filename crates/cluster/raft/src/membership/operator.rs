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
    changes::done_report,
    problems::{failed, no_leader, not_a_member},
};
use crate::{Node, node::OpenNode};

impl Operator for Node {
    fn operate(&self, forwarded: ForwardedRequest) -> BoxFuture<'_, Result<Value, Problem>> {
        Box::pin(async move {
            let open = self.opened().map_err(|_| no_leader())?;
            match forwarded.request {
                AdminRequest::Members(_) => open.service.admin.members(forwarded).await,
                AdminRequest::Invite(ref request) => {
                    let invited = open.invite(request.clone(), forwarded).await?;
                    Ok(to_value(&invited))
                }
                _ => open.send_and_apply(forwarded).await,
            }
        })
    }

    fn packets_after(
        &self,
        after: Option<PublicKey>,
        count: usize,
    ) -> Result<Vec<StoredPacket>, ReadError> {
        let open = self.readable()?;
        let packets = open.context.store.packets_after(after.as_ref(), count);
        let packets = packets.into_iter();
        Ok(packets.map(|packet| open.with_real_time(packet)).collect())
    }
}

impl OpenNode {
    /// Sends a request to the leader, and returns the answer once this node has applied the change.
    async fn send_and_apply(&self, forwarded: ForwardedRequest) -> Result<Value, Problem> {
        let deadline = Instant::now() + forwarded.time_left();
        // If an answer was lost, the retried request finds the packet deleted already.
        let deletes_stored = matches!(
            &forwarded.request,
            AdminRequest::DeletePacket(deleted) if self.index.packet(&deleted.key).is_some()
        );
        let removes_this_node = self.is_own_removal(&forwarded.request);
        let mut answered = match self.service.admin.send_to_leader(forwarded).await {
            // A removed node may not receive the answer: the leader no longer admits it.
            Err(problem) if removes_this_node && problem == not_a_member() => {
                return Ok(to_value(&done_report(self.context.config.node, Vec::new())));
            }
            answered => answered?,
        };
        if deletes_stored {
            answered.answer["was_stored"] = true.into();
        }
        self.wait_until_applied(answered.index, deadline).await?;
        Ok(answered.answer)
    }

    /// Creates the secret of a token, and makes the leader open its invite.
    async fn invite(
        &self,
        request: InviteRequest,
        forwarded: ForwardedRequest,
    ) -> Result<CreatedInvite, Problem> {
        let deadline = Instant::now() + forwarded.time_left();
        let (id, seed) = (InviteId(random()?), random()?);
        let key = PublicKey::from_bytes(JoinToken::public_key_of(&seed));
        let open = ForwardedRequest {
            request: OpenInvite { id, key, request }.into(),
            ..forwarded
        };
        let answered = self.service.admin.send_to_leader(open).await?;
        let expires_ms = decode_answer::<OpenInvite>(answered.answer)?;
        // Once this node has applied the invite, it recognises a joiner with that token.
        let known = self
            .context
            .peers
            .membership_view
            .wait_until(|node_registry| node_registry.invites.contains_key(&id));
        if timeout_at(deadline, known).await != Ok(true) {
            return Err(no_leader());
        }
        let mut members: Vec<_> = self
            .context
            .peers
            .membership_view
            .members()
            .into_iter()
            .collect();
        // Only voters register joiners. A token has space for only a few. This node comes first,
        // because it evidently answers.
        members.retain(|(node, _)| self.context.peers.membership_view.is_voter(*node));
        members.sort_by_key(|(node, _)| *node != self.context.config.node);
        Ok(CreatedInvite {
            token: JoinToken::new(self.context.config.cluster, id, seed, members).to_string(),
            invite: id.to_string(),
            expires_ms,
        })
    }

    async fn wait_until_applied(&self, index: LogIndex, deadline: Instant) -> Result<(), Problem> {
        let mut applied = self.write_path.applied.clone();
        let applied = applied.wait_for(|meta| meta.applied_index() >= index);
        match timeout_at(deadline, applied).await {
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
