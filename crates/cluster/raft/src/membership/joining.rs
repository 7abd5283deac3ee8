//! Nodes that nobody knows yet, at the member that they ask.

use std::time::Duration;

use quorate_api::JoinCall;
use quorate_peer::{JoinAnswer, JoinRequest, Joined, NodeId};
use tokio::time::timeout;

use super::admin::Admin;

/// How long the leader may take to register a joiner. No operator waits: after that the joiner asks
/// again.
const REGISTER_TIMEOUT: Duration = Duration::from_secs(15);

/// How long this member may take to apply what the leader has: after that the joiner asks again.
const APPLY_TIMEOUT: Duration = Duration::from_secs(5);

impl Admin {
    /// What `joiner` is answered, or nothing if it has not proved that it has a token.
    pub(crate) async fn admit(&self, joiner: NodeId, request: JoinRequest) -> Option<JoinAnswer> {
        let cluster = self.cluster();
        let id = cluster.id?;
        let invite = cluster.node_registry.invites.get(&request.invite)?;
        if !request.is_proved(invite.key.as_bytes(), id, joiner, self.parts.config.node) {
            return None;
        }
        let call = JoinCall {
            invite: request.invite,
            node: joiner,
            name: request.name,
            address: request.address,
        };
        Some(match self.ask_for(call, REGISTER_TIMEOUT).await {
            Ok(Ok(())) => match self.knows(joiner).await {
                true => JoinAnswer::Joined(Joined {
                    id,
                    index: self.parts.state_machine.applied_index(),
                    term: self.parts.raft.view().term,
                    members: self
                        .parts
                        .peers
                        .membership_view
                        .members()
                        .into_iter()
                        .collect(),
                }),
                false => JoinAnswer::Unavailable("this member lags behind: ask again".to_owned()),
            },
            Ok(Err(refusal)) => JoinAnswer::Refused(refusal),
            Err(problem) => JoinAnswer::Unavailable(problem.detail),
        })
    }

    /// Whether this member takes links of `joiner` before long.
    async fn knows(&self, joiner: NodeId) -> bool {
        let membership_view = &self.parts.peers.membership_view;
        let registered = membership_view
            .until(|node_registry| node_registry.registrations.contains_key(&joiner.0));
        timeout(APPLY_TIMEOUT, registered).await == Ok(true)
    }
}
