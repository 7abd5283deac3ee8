//! The members as a node knows them while no leader is known: exactly then an operator has to see
//! who is there.

use std::time::Duration;

use quorate_api::operate::{Member, MemberState};
use quorate_peer::NodeId;
use quorate_replica::ClusterMembers;
use quorate_state::millis;
use tokio::time::timeout;

use super::operator::LeaderClient;

/// How long a leader may be unknown until a node tells its own view: an election in a cluster whose
/// nodes are well is over by then.
const LEADERLESS_TIMEOUT: Duration = Duration::from_secs(2);

impl LeaderClient {
    /// Resolves when no leader has been known for a while.
    pub(super) async fn leaderless(&self) {
        let mut leaders = self.leader.clone();
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
    pub(super) fn own_view(&self) -> ClusterMembers {
        let mut members = self.admin.standing().listed();
        for member in &mut members {
            self.judge(member);
        }
        ClusterMembers {
            cluster: self.peers.roster().names().id,
            leader: None,
            members,
        }
    }

    fn judge(&self, member: &mut Member) {
        let silence = self.silence(member.node);
        let is_heard = silence.is_some_and(|silence| silence <= self.admin.silence_max());
        member.lag = None;
        member.silent_ms = silence.map(millis);
        member.state = match member.state {
            MemberState::Pending => MemberState::Pending,
            _ if is_heard => MemberState::Live,
            _ => MemberState::Silent,
        };
    }

    /// How long ago this node heard of `node`.
    fn silence(&self, node: NodeId) -> Option<Duration> {
        match node == self.node {
            true => Some(Duration::ZERO),
            false => {
                let heard = self.peers.exchange().heard(node)?;
                Some(heard.at.elapsed())
            }
        }
    }
}
