//! What a node is when it starts: that follows from its data, its configuration and its token.

use std::collections::BTreeMap;

use anyhow::{bail, ensure};
use quorate_peer::{JoinToken, NodeId};
use quorate_raft::Known;
use quorate_state::{ClusterId, ClusterNames};

use crate::{
    cluster_file::{ClusterFile, Stage, founding_hash},
    config::{ConfigV1, is_loopback},
    data_dir::DataDir,
    init::check_unused,
};

/// What a node is when it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It has had no part in any cluster, and founds one: with the others of its list, or alone.
    Founder(ClusterFile),
    /// It has had no part in any cluster, and asks to be let into one.
    Joiner(JoinToken),
    /// A cluster has let it in, or it has founded one.
    Member {
        /// What it knows of the cluster.
        cluster: ClusterFile,
        /// Nodes of the list that it does not know as members. It may have been off while all whom it
        /// knows were replaced.
        listed: BTreeMap<NodeId, String>,
    },
}

impl Standing {
    /// Whether the cluster is to be asked first.
    pub(crate) fn is_joiner(&self) -> bool {
        matches!(self, Self::Joiner(_))
    }
}

/// What there is to judge by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Evidence<'a> {
    pub(crate) config: &'a ConfigV1,
    pub(crate) data_dir: &'a DataDir,
    pub(crate) node: NodeId,
    /// Where others reach it, as far as this machine knows.
    pub(crate) address: &'a str,
    pub(crate) token: Option<&'a JoinToken>,
}

impl Evidence<'_> {
    /// What the node is. Fails if its data is of another cluster than configuration or token.
    pub(crate) fn judge(self) -> anyhow::Result<Standing> {
        match (self.data_dir.cluster()?, self.token) {
            (None, None) => {
                // A list does not make a former member a founder: the others may have their data.
                if self.config.cluster.nodes.is_empty() || !self.data_dir.has_log_or_store() {
                    check_unused(&self.data_dir.path)?;
                }
                Ok(Standing::Founder(self.founders()))
            }
            (None, Some(token)) => {
                self.check_no_data()?;
                Ok(Standing::Joiner(token.clone()))
            }
            (Some(cluster), token) => {
                self.check_name(cluster.name.as_deref())?;
                match token {
                    Some(token) => self.check_token(&cluster, token)?,
                    None => self.check_list(&cluster)?,
                }
                let listed = self.unknown_of_list(&cluster);
                Ok(Standing::Member { cluster, listed })
            }
        }
    }

    /// The cluster that the configuration founds.
    fn founders(&self) -> ClusterFile {
        let list = self.list();
        let founding = (!list.is_empty()).then(|| self.founding_hash(&list));
        let members = match list.is_empty() {
            true => BTreeMap::from([(self.node, self.address.to_owned())]),
            false => list,
        };
        ClusterFile {
            stage: Stage::Member,
            name: Some(self.config.cluster.name.clone()),
            known: Known {
                names: ClusterNames { id: None, founding },
                members,
            },
        }
    }

    fn founding_hash(&self, list: &BTreeMap<NodeId, String>) -> ClusterId {
        founding_hash(&self.config.cluster.name, list)
    }

    fn list(&self) -> BTreeMap<NodeId, String> {
        self.config.cluster.founders()
    }

    /// A node whose log is of nobody knows who must not take the entries of a cluster.
    fn check_no_data(&self) -> anyhow::Result<()> {
        ensure!(
            !self.data_dir.has_log_or_store(),
            "{} holds a log or packets, and nothing says of which cluster. A node joins without \
             any: leave nothing but its key there, or choose another data_dir",
            self.data_dir.path.display()
        );
        Ok(())
    }

    fn check_name(&self, stored: Option<&str>) -> anyhow::Result<()> {
        let (stored, configured) = (stored.unwrap_or(self.name()), self.name());
        ensure!(
            stored == configured,
            "{} holds the data of another cluster: that is called {stored:?}, and cluster.name is \
             {configured:?}. Correct the configuration, or choose another data_dir",
            self.data_dir.path.display()
        );
        Ok(())
    }

    fn name(&self) -> &str {
        &self.config.cluster.name
    }

    fn check_token(&self, cluster: &ClusterFile, token: &JoinToken) -> anyhow::Result<()> {
        let dir = self.data_dir.path.display();
        match cluster.known.names.id {
            Some(id) => ensure!(
                id == token.cluster,
                "{dir} holds the data of another cluster: its id is {id}, and the token is of {}. \
                 Choose another data_dir, or leave nothing in this one, not even the key",
                token.cluster
            ),
            None => bail!(
                "{dir} holds the data of another cluster, which has no id yet. Choose another \
                 data_dir, or leave nothing in this one, not even the key"
            ),
        }
        Ok(())
    }

    /// A list that is not the one that founded the cluster, and names none of its members, is that of
    /// another one.
    fn check_list(&self, cluster: &ClusterFile) -> anyhow::Result<()> {
        let members = cluster.known.members.iter();
        let members = members.map(|(node, address)| format!("    {node}@{address}\n"));
        ensure!(
            self.is_list_of(cluster),
            "{} holds the data of another cluster: none of its members is in cluster.nodes.\n  \
             members there:\n{}Correct cluster.nodes or leave it out, or choose another data_dir",
            self.data_dir.path.display(),
            members.collect::<String>()
        );
        Ok(())
    }

    fn is_list_of(&self, cluster: &ClusterFile) -> bool {
        let list = self.list();
        let known = &cluster.known;
        list.is_empty()
            || known.names.founding == Some(self.founding_hash(&list))
            || list.keys().any(|node| known.members.contains_key(node))
    }

    /// The nodes of a list of this cluster, beside this one, that are no members as far as it knows.
    fn unknown_of_list(&self, cluster: &ClusterFile) -> BTreeMap<NodeId, String> {
        let mut list = self.list();
        let is_of_it = self.is_list_of(cluster);
        let members = &cluster.known.members;
        list.retain(|node, _| is_of_it && *node != self.node && !members.contains_key(node));
        list
    }

    /// What an operator should know of a node that is this, though it starts.
    pub(crate) fn doubts(self, standing: &Standing) -> Vec<String> {
        match standing {
            Standing::Founder(cluster) => self.doubts_of_founder(cluster),
            Standing::Joiner(token) => self.doubts_of_joiner(token),
            Standing::Member { cluster, listed } => self.doubts_of_member(cluster, listed),
        }
    }

    fn doubts_of_founder(&self, cluster: &ClusterFile) -> Vec<String> {
        let listed = cluster.known.members.get(&self.node);
        let advertise = &self.config.peer.advertise;
        let differs = !advertise.is_empty() && listed.is_some_and(|listed| listed != self.address);
        let listed = listed.map_or("", |listed| listed);
        let doubt = format!(
            "peer.advertise is {advertise}, and this node founds the cluster as {listed}: what is \
             in cluster.nodes counts"
        );
        differs.then_some(doubt).into_iter().collect()
    }

    fn doubts_of_joiner(&self, token: &JoinToken) -> Vec<String> {
        let is_apart = token
            .members
            .iter()
            .any(|(_, address)| !is_loopback(address));
        let doubt = format!(
            "this node says that it is at {}, which is another machine to each of the members: set \
             peer.advertise to where they reach it",
            self.address
        );
        let is_doubtful = is_apart && is_loopback(self.address);
        is_doubtful.then_some(doubt).into_iter().collect()
    }

    /// The membership says who is in the cluster and where, once the node has caught up with it.
    fn doubts_of_member(
        &self,
        cluster: &ClusterFile,
        listed: &BTreeMap<NodeId, String>,
    ) -> Vec<String> {
        let members = &cluster.known.members;
        let mut doubts = Vec::new();
        let is_elsewhere = |(node, address): (NodeId, String)| {
            let known = members.get(&node);
            known.is_some_and(|known| *known != address)
        };
        if self.list().into_iter().any(is_elsewhere) {
            doubts.push(
                "cluster.nodes has other addresses than this node knows of the members: those of \
                 the list only found a cluster. Ask `quorate member list`; where a node is, \
                 `quorate member move` changes"
                    .to_owned(),
            );
        }
        if !listed.is_empty() {
            let listed: Vec<_> = listed.keys().map(ToString::to_string).collect();
            doubts.push(format!(
                "cluster.nodes names nodes that are no members as far as this node knows: they are \
                 heard and asked until it has caught up with the cluster, and are no members by \
                 that. Ask `quorate member list`, and leave out those that are none: {}",
                listed.join(", ")
            ));
        }
        doubts
    }
}

#[cfg(test)]
#[path = "standing_tests.rs"]
mod tests;
