//! What the leader does to hand over.

use quorate_api::{Problem, Transferred};
use quorate_peer::NodeId;
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    admin::Order,
    refusals::{failed, no_leader, not_caught_up, unfit},
};

impl Order<'_> {
    /// When the answer is lost, leadership may move once more than it was asked to.
    pub(super) async fn transfer(&self, to: Option<&str>) -> Result<Transferred, Problem> {
        let standing = self.standing();
        let wanted = to.map(|to| standing.find_known(to)).transpose()?;
        let successors = match wanted {
            Some(node) if node == self.parts.config.node => return Ok(led_by(node)),
            Some(node) if !standing.membership.is_voter(node) => {
                let text = "it has no vote, so it cannot lead: promote it first";
                return Err(unfit(text));
            }
            wanted => self.successors(wanted).await,
        };
        if successors.is_empty() && !self.leads() {
            return Err(no_leader());
        }
        if successors.is_empty() && wanted.is_some() {
            return Err(not_caught_up());
        }
        let leader = self.hand_over(&successors).await?;
        match wanted {
            Some(wanted) if wanted != leader => Err(failed(format!(
                "{wanted} did not take over: {leader} leads"
            ))),
            _ => Ok(led_by(leader)),
        }
    }

    /// The voters that live, or `wanted` if it does. A leader that was elected a moment ago has heard
    /// nobody yet; whoever lives is heard within a heartbeat.
    async fn successors(&self, wanted: Option<NodeId>) -> Vec<NodeId> {
        let deadline = Instant::now() + self.silence_max();
        loop {
            let successors = match wanted {
                // How much it lacks, a new leader does not know yet.
                Some(node) if self.standing().is_live(node) => vec![node],
                Some(_) => Vec::new(),
                None => self.parts.successors(),
            };
            if !successors.is_empty() || Instant::now() >= deadline || !self.leads() {
                return successors;
            }
            sleep(self.parts.config.heartbeat()).await;
        }
    }

    /// Hands leadership to one of these and says who leads then.
    pub(super) async fn hand_over(&self, successors: &[NodeId]) -> Result<NodeId, Problem> {
        if successors.is_empty() {
            let text = "no other voter is heard that could lead";
            return Err(unfit(text));
        }
        let leader = timeout_at(self.until, self.parts.hand_to(successors)).await;
        leader.ok().flatten().ok_or_else(no_leader)
    }
}

fn led_by(leader: NodeId) -> Transferred {
    Transferred {
        leader: leader.to_string(),
    }
}
