//! The members, as the leader lists them. While none is known, as this node knows them: exactly then an
//! operator has to see who is there.

use std::time::Duration;

use quorate_api::{Asked, Member, MemberState, Members, Problem, ProblemType};
use quorate_peer::NodeId;
use quorate_state::millis;
use serde_json::Value;
use tokio::time::timeout;

use super::{admin::Admin, refusals::no_leader};

/// How long a leader may be unknown until a node tells its own view: an election in a cluster whose
/// nodes are well is over by then.
const LEADERLESS_TIMEOUT: Duration = Duration::from_secs(2);

impl Admin {
    /// What the leader lists, or this node if there is none.
    pub(super) async fn members(&self, asked: Asked) -> Result<Value, Problem> {
        let answered = tokio::select! {
            answered = self.ask(asked) => answered.map(|answered| answered.answer),
            () = self.leaderless() => Err(no_leader()),
        };
        match answered {
            Err(problem) if problem.problem_type == ProblemType::NoLeader => {
                Ok(serde_json::to_value(self.own_view()).expect("members are JSON"))
            }
            answered => answered,
        }
    }

    /// Resolves when no leader has been known for a while.
    async fn leaderless(&self) {
        let mut leaders = self.parts.leader.clone();
        loop {
            if leaders.wait_for(|now| now.node.is_none()).await.is_err() {
                return;
            }
            let elected = leaders.wait_for(|now| now.node.is_some());
            if timeout(LEADERLESS_TIMEOUT, elected).await.is_err() {
                return;
            }
        }
    }

    /// The membership in effect here, and who has been heard here of late. What a node lacks only a
    /// leader can tell.
    fn own_view(&self) -> Members {
        let standing = self.standing();
        let nodes = standing.nodes().into_iter();
        Members {
            cluster: Some(self.parts.config.cluster.to_string()),
            leader: None,
            members: nodes
                .map(|node| self.judged(node, standing.member(node)))
                .collect(),
        }
    }

    fn judged(&self, node: NodeId, member: Member) -> Member {
        let silence = match node == self.parts.config.node {
            true => Some(Duration::ZERO),
            false => self
                .parts
                .exchange
                .heard(node)
                .map(|heard| heard.at.elapsed()),
        };
        let is_heard = silence.is_some_and(|silence| silence <= self.silence_max());
        Member {
            lag: None,
            last_heard_ms: silence.map(millis),
            state: match member.state {
                MemberState::Pending => MemberState::Pending,
                _ if is_heard => MemberState::Live,
                _ => MemberState::Silent,
            },
            ..member
        }
    }
}
