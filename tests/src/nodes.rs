//! Sets of nodes: commands go to all of them, and questions must get the same answer from all.

use std::{ops::Deref, sync::Arc};

use rustix::process::Signal;

use crate::{
    Digest, Node, Publisher, Status,
    wait::{CONVERGE_WITHIN, LEADER_WITHIN, until},
};

/// Some nodes of a cluster.
#[derive(Clone)]
pub struct Nodes(Vec<Arc<Node>>);

impl Deref for Nodes {
    type Target = [Arc<Node>];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl FromIterator<Arc<Node>> for Nodes {
    fn from_iter<I: IntoIterator<Item = Arc<Node>>>(nodes: I) -> Self {
        Self(nodes.into_iter().collect())
    }
}

impl Nodes {
    /// The nodes that `choose` selects.
    pub fn only(&self, choose: impl Fn(&Node) -> bool) -> Self {
        self.iter().filter(|node| choose(node)).cloned().collect()
    }

    /// All but one.
    pub fn without(&self, node: &Node) -> Self {
        self.only(|other| other.id() != node.id())
    }

    /// Starts every process.
    pub fn start(&self) {
        self.iter().for_each(|node| node.start());
    }

    /// Restarts every process.
    pub fn restart(&self) {
        self.start();
    }

    /// Kills every process at the same time, as a loss of power would.
    pub fn kill(&self) {
        self.iter().for_each(|node| node.signal(Signal::KILL));
        self.iter().for_each(|node| node.reap());
    }

    /// Stops the processes one after the other.
    pub async fn terminate(&self) {
        for node in self.iter() {
            node.terminate().await;
        }
    }

    /// Waits until each reports that it is ready.
    pub async fn wait_ready(&self) {
        for node in self.iter() {
            node.wait_ready().await;
        }
    }

    /// Waits until all name the same leader, one of them, in the same term.
    pub async fn wait_for_leader(&self) -> Arc<Node> {
        until("all to agree on a leader", LEADER_WITHIN, async || {
            self.leader_now().await
        })
        .await
    }

    async fn leader_now(&self) -> Result<Arc<Node>, String> {
        let statuses = self.statuses().await?;
        let leader = statuses.first().ok_or("there are no nodes")?;
        let (term, leader) = (leader.term, leader.leader.clone());
        if statuses
            .iter()
            .any(|status| (status.term, &status.leader) != (term, &leader))
        {
            return Err(format!("they disagree: {statuses:?}"));
        }
        let node = self
            .iter()
            .find(|node| Some(node.id()) == leader.as_deref());
        let node = node.ok_or_else(|| format!("the leader {leader:?} is not one of them"))?;
        match node.status().await?.role.as_str() {
            "leader" => Ok(node.clone()),
            role => Err(format!("{}, named as the leader, is a {role}", node.name())),
        }
    }

    /// Waits until the leader has committed what it proposes on its own. From then on only clients make
    /// the log grow.
    pub async fn wait_agreed(&self) {
        until(
            "all to have agreed on a capacity, and on who they are",
            CONVERGE_WITHIN,
            async || {
                let statuses = self.statuses().await?;
                if statuses
                    .iter()
                    .any(|status| status.packet_count_max.is_none())
                {
                    return Err(format!("{statuses:?}"));
                }
                // The name of a member is the last thing that the leader learns.
                let members = self.first().ok_or("there are no nodes")?.members().await?;
                match members.iter().any(|member| member.name.is_empty()) {
                    true => Err(format!("{members:?}")),
                    false => Ok(()),
                }
            },
        )
        .await;
    }

    /// The status of each.
    pub async fn statuses(&self) -> Result<Vec<Status>, String> {
        let mut statuses = Vec::new();
        for node in self.iter() {
            let status = node.status().await;
            statuses.push(status.map_err(|error| format!("{}: {error}", node.name()))?);
        }
        Ok(statuses)
    }

    /// Waits until all have applied the same entries, and expects that they then hold the same packets.
    pub async fn expect_converged(&self) -> Digest {
        until(
            "all to have applied the same entries",
            CONVERGE_WITHIN,
            async || {
                let statuses = self.statuses().await?;
                let last = statuses.iter().map(|status| status.last_log_index).max();
                if statuses
                    .iter()
                    .any(|status| Some(status.applied_index) != last)
                {
                    return Err(format!("{statuses:?}"));
                }
                let mut digests = Vec::new();
                for node in self.iter() {
                    digests.push(node.digest().await?);
                }
                let applied = digests[0].applied_index;
                if digests.iter().any(|digest| digest.applied_index != applied) {
                    return Err(format!("{digests:?}"));
                }
                assert!(
                    digests.iter().all(|digest| *digest == digests[0]),
                    "equal entries gave different packets: {digests:?}"
                );
                Ok(digests.swap_remove(0))
            },
        )
        .await
    }

    /// Waits until all nodes answer with exactly this text of the publisher.
    pub async fn expect_txt(&self, publisher: &Publisher, text: &str) {
        let what = format!("{:?} of {} at all", text, publisher.name());
        until(&what, CONVERGE_WITHIN, async || {
            for node in self.iter() {
                let texts = node.texts(&publisher.key()).await;
                if texts != [text] {
                    return Err(format!("{} says {texts:?}", node.name()));
                }
            }
            Ok(())
        })
        .await;
    }
}
