//! Answers new nodes that ask this member to let them join the cluster.

use std::time::Duration;

use quorate_api::RegisterNode;
use quorate_peer::{JoinAnswer, JoinRequest, Joined, NodeId};
use tokio::time::timeout;

use super::admin::Admin;

/// How long the leader may take to register a joiner. No operator waits: after that the joiner
/// retries.
const REGISTER_TIMEOUT: Duration = Duration::from_secs(15);

/// How long this member may take to apply the registration: after that the joiner retries.
const APPLY_TIMEOUT: Duration = Duration::from_secs(5);

impl Admin {
    /// The answer to `joiner`; `None` if it has not proved that it has a token.
    pub(crate) async fn admit(&self, joiner: NodeId, request: JoinRequest) -> Option<JoinAnswer> {
        let cluster = self.cluster();
        let id = cluster.id?;
        let invite = cluster.node_registry.invites.get(&request.invite)?;
        if !request.is_proved(invite.key.as_bytes(), id, joiner, self.context.config.node) {
            return None;
        }
        let call = RegisterNode {
            invite: request.invite,
            node: joiner,
            name: request.name,
            address: request.address,
        };
        Some(match self.call_leader(call, REGISTER_TIMEOUT).await {
            Ok(Ok(())) => match self.wait_until_registered(joiner).await {
                true => JoinAnswer::Joined(Joined {
                    id,
                    index: self.context.state_machine.applied_index(),
                    term: self.context.raft.view().term,
                    members: self
                        .context
                        .peers
                        .membership_view
                        .members()
                        .into_iter()
                        .collect(),
                }),
                false => JoinAnswer::Unavailable(
                    "this member has not applied the registration yet: retry".to_owned(),
                ),
            },
            Ok(Err(rejection)) => JoinAnswer::Rejected(rejection),
            Err(problem) => JoinAnswer::Unavailable(problem.detail),
        })
    }

    /// Waits until this member accepts links of `joiner`. False if it takes too long.
    async fn wait_until_registered(&self, joiner: NodeId) -> bool {
        let membership_view = &self.context.peers.membership_view;
        let registered = membership_view
            .wait_until(|node_registry| node_registry.registrations.contains_key(&joiner.0));
        timeout(APPLY_TIMEOUT, registered).await == Ok(true)
    }
}
