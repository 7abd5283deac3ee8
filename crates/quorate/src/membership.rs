//! A node's part in its cluster: how it comes to it when the node starts, and what it notes of it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use quorate_peer::{Identity, JoinToken, NodeId, TransportConfig};
use quorate_raft::{Known, Node};
use tokio::{sync::watch, task::spawn_blocking, time::sleep};

use crate::{
    cluster_file::{ClusterFile, Stage},
    config::ConfigV1,
    data_dir::DataDir,
    init::mark_used,
    joining,
    standing::Standing,
};

/// After how long to write again what could not be written: somebody makes room on the disk.
const RETRY_PAUSE: Duration = Duration::from_secs(10);

/// A node's part in its cluster, as it is when the node is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Membership {
    /// What it knows of the cluster.
    pub(crate) cluster: ClusterFile,
    /// Whom it dials and admits until it has caught up, beside the members: those whom it knew when it
    /// stopped, and those of whom its configuration tells.
    pub(crate) told: Known,
    /// Those who found the cluster, if it is not founded yet.
    pub(crate) founders: BTreeMap<NodeId, String>,
    /// Whether it has had entries: then its log must not be empty.
    pub(crate) has_entries: bool,
}

impl Membership {
    /// Joins, if that is what the node is to do: returns once the cluster has let it in and that is
    /// noted durably.
    pub(crate) async fn enter(
        standing: Standing,
        identity: &Identity,
        config: &ConfigV1,
        address: &str,
        data_dir: &DataDir,
    ) -> anyhow::Result<Self> {
        match standing {
            Standing::Founder(cluster) => Ok(Self {
                founders: cluster.known.members.clone(),
                told: cluster.known.clone(),
                cluster,
                has_entries: false,
            }),
            Standing::Member { cluster, listed } => Ok(Self::of(cluster, listed)),
            Standing::Joiner(token) => {
                let cluster = join(&token, identity, config, address).await?;
                data_dir.set_cluster(&cluster)?;
                Ok(Self::of(cluster, BTreeMap::new()))
            }
        }
    }

    /// That of a node which has been let in.
    fn of(cluster: ClusterFile, listed: BTreeMap<NodeId, String>) -> Self {
        let mut told = cluster.known.clone();
        told.members.extend(listed);
        Self {
            told,
            founders: BTreeMap::new(),
            has_entries: cluster.stage == Stage::Member,
            cluster,
        }
    }
}

async fn join(
    token: &JoinToken,
    identity: &Identity,
    config: &ConfigV1,
    address: &str,
) -> anyhow::Result<ClusterFile> {
    let name = &config.cluster.node_name;
    tracing::info!(address, name, cluster = %token.cluster, "asking to be let into the cluster");
    let ask = async || {
        let (name, address) = (name.clone(), address.to_owned());
        quorate_peer::join(identity, token, name, address, TransportConfig::default()).await
    };
    let joined = joining::join(ask).await?;
    tracing::info!(
        members = joined.members.len(),
        "the cluster has let this node in"
    );
    Ok(ClusterFile {
        stage: Stage::Joining,
        name: None,
        known: Known {
            names: joined.names(),
            members: joined.members.into_iter().collect(),
        },
    })
}

/// Notes in the data directory what `node` knows of its cluster, from when it has a part in it: from
/// then on its log must not be empty. Should the process stop in between, the node is asked by the
/// others' logs instead.
pub(crate) async fn keep(node: Arc<Node>, data_dir: Arc<DataDir>, before: ClusterFile) {
    let known = node.joined().await;
    let member = ClusterFile {
        stage: Stage::Member,
        ..before
    };
    tokio::join!(
        mark(known.clone(), data_dir.clone()),
        follow(known, data_dir, member)
    );
}

/// Has the key say of which cluster it is, once that has an id.
async fn mark(mut known: watch::Receiver<Known>, data_dir: Arc<DataDir>) {
    let id = known.wait_for(|known| known.names.id.is_some()).await;
    let id = id.ok().and_then(|known| known.names.id);
    let Some(id) = id else { return };
    let marking = in_background(move || mark_used(&data_dir.path, &id.to_string()));
    if let Err(error) = marking.await {
        // A key that somebody else keeps, as Kubernetes does, cannot be marked.
        tracing::warn!(
            error = format!("{error:#}"),
            "the key is not marked as used"
        );
    }
}

/// Writes down whatever changes of what is known, until there is nobody who knows it.
async fn follow(
    mut known: watch::Receiver<Known>,
    data_dir: Arc<DataDir>,
    mut cluster: ClusterFile,
) {
    loop {
        let now = known.borrow_and_update().clone();
        // Nobody is in no cluster: what was known before is better than nothing.
        if !now.members.is_empty() {
            cluster.known = now;
        }
        let (data_dir, noted) = (data_dir.clone(), cluster.clone());
        let noting = in_background(move || data_dir.set_cluster(&noted));
        if let Err(error) = noting.await {
            let error = format!("{error:#}");
            tracing::error!(error, "what is known of the cluster is not noted");
            sleep(RETRY_PAUSE).await;
            continue;
        }
        if known.changed().await.is_err() {
            return;
        }
    }
}

/// Does what waits for a disk beside the threads that serve.
async fn in_background(
    work: impl FnOnce() -> anyhow::Result<()> + Send + 'static,
) -> anyhow::Result<()> {
    spawn_blocking(work).await?
}

#[cfg(test)]
mod tests {
    use quorate_packet::PublicKey;
    use quorate_state::{ClusterId, ClusterNames};

    use super::*;

    fn known(id: u8, members: &[u8]) -> Known {
        let member = |byte: &u8| (NodeId(PublicKey::from_bytes([*byte; 32])), "a:1".to_owned());
        Known {
            names: ClusterNames {
                id: Some(ClusterId([id; 32])),
                founding: None,
            },
            members: members.iter().map(member).collect(),
        }
    }

    #[test]
    fn what_a_node_is_told_beside_what_it_knows_is_not_noted() {
        let cluster = ClusterFile {
            stage: Stage::Member,
            name: None,
            known: known(1, &[1, 2]),
        };
        let membership = Membership::of(cluster.clone(), known(1, &[3]).members);
        assert_eq!(membership.told, known(1, &[1, 2, 3]));
        assert_eq!(membership.cluster, cluster);
    }

    #[tokio::test]
    async fn what_a_node_learns_outlives_it() {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = Arc::new(DataDir::open(dir.path()).unwrap());
        let cluster = |known| ClusterFile {
            stage: Stage::Member,
            name: None,
            known,
        };
        let noted = async |expected: Known| {
            let expected = Some(cluster(expected));
            while data_dir.cluster().unwrap() != expected {
                tokio::task::yield_now().await;
            }
        };
        let (knows, watch) = watch::channel(known(1, &[1]));
        let following = follow(watch, data_dir.clone(), cluster(known(1, &[])));
        let learning = async {
            noted(known(1, &[1])).await;
            knows.send_replace(known(1, &[1, 2]));
            noted(known(1, &[1, 2])).await;
            // A node that opens its store anew may know nothing for a moment.
            knows.send_replace(Known::default());
            knows.send_replace(known(1, &[3]));
            noted(known(1, &[3])).await;
            drop(knows);
        };
        tokio::join!(following, learning);
    }
}
