//! Lists the members as the leader knows them. Without a leader, lists them as this node knows them:
//! then an operator needs the list most.

use std::time::Duration;

use quorate_api::{ForwardedRequest, Member, MemberState, Members, Problem, ProblemType};
use quorate_peer::NodeId;
use quorate_state::millis;
use serde_json::Value;

use super::{
    admin::Admin,
    lost_majority::LEADERLESS_TIMEOUT,
    problems::{no_leader, not_a_member},
};
use crate::leadership::leader::leaderless;

/// The problems that mean that there is no leader.
const LEADERLESS: [ProblemType; 2] = [ProblemType::NoLeader, ProblemType::MajorityLost];

impl Admin {
    /// The leader's list, or this node's own if there is no leader, or if it was removed.
    pub(super) async fn members(&self, request: ForwardedRequest) -> Result<Value, Problem> {
        let answered = tokio::select! {
            answered = self.send_to_leader(request) => answered.map(|answered| answered.answer),
            () = leaderless(self.context.leader.clone(), LEADERLESS_TIMEOUT) => Err(no_leader()),
        };
        match answered {
            Err(problem)
                if problem == not_a_member() || LEADERLESS.contains(&problem.problem_type) =>
            {
                self.probe_members().await;
                Ok(serde_json::to_value(self.leaderless_view()).expect("members are JSON"))
            }
            answered => answered,
        }
    }

    /// The membership in effect here, and which members this node heard from recently. Only a leader
    /// knows how many entries a member lacks.
    fn leaderless_view(&self) -> Members {
        let snapshot = self.membership_snapshot();
        let nodes = snapshot.nodes().into_iter();
        Members {
            cluster: Some(self.context.config.cluster.to_string()),
            leader: None,
            members: nodes
                .map(|node| self.local_member(node, self.member(&snapshot, node)))
                .collect(),
        }
    }

    fn local_member(&self, node: NodeId, member: Member) -> Member {
        let is_own = node == self.context.config.node;
        let silence = match is_own {
            true => Some(Duration::ZERO),
            false => self.silence_here(node),
        };
        Member {
            lag: None,
            last_heard_ms: silence.map(millis),
            state: match member.state {
                _ if is_own && self.context.is_removed() => MemberState::Removed,
                MemberState::Pending => MemberState::Pending,
                _ if self.is_live_here(node) => MemberState::Live,
                _ => MemberState::Silent,
            },
            ..member
        }
    }
}
