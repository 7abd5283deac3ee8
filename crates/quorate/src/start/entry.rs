//! The entry of a node into its cluster, and the file `cluster` from then on.

use std::{collections::BTreeSet, net::IpAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::ensure;
use quorate_packet::PublicKey;
use quorate_peer::{Identity, JoinToken, NodeId, TransportConfig};
use quorate_raft::{Founding, KnownMembers, Node, RaftConfig};
use quorate_state::{FoundingInvite, INVITE_USES_MAX, Invite};
use tokio::{sync::watch, task::spawn_blocking, time::sleep};

use super::{
    cluster_file::{ClusterFile, Stage},
    data_dir::DataDir,
    joining::request_until_answered,
    token_file,
};
use crate::config::ConfigV1;

/// The pause before a failed write is retried, while an operator frees space.
const RETRY_PAUSE: Duration = Duration::from_secs(10);

/// How often to check for the token file.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The join token of a node.
#[derive(Debug, Clone)]
pub(crate) enum TokenSource {
    Token(JoinToken),
    /// In a file that may not exist yet.
    File(PathBuf),
}

impl TokenSource {
    fn token(&self) -> anyhow::Result<Option<JoinToken>> {
        match self {
            Self::Token(token) => Ok(Some(token.clone())),
            Self::File(file) => token_file::read(file),
        }
    }

    async fn wait(&self) -> anyhow::Result<JoinToken> {
        let mut is_told = false;
        loop {
            match (self.token()?, self) {
                (Some(token), _) => return Ok(token),
                (None, Self::File(file)) if !is_told => {
                    tracing::info!(file = %file.display(), "waiting for the token file");
                    is_told = true;
                }
                _ => {}
            }
            sleep(LOOK_INTERVAL).await;
        }
    }

    /// Fails if the token is readable and belongs to another cluster than the node.
    pub(crate) fn check(&self, cluster: &ClusterFile) -> anyhow::Result<()> {
        let other = self.token()?.map(|token| token.cluster);
        let other = other.filter(|other| *other != cluster.id);
        ensure!(
            other.is_none(),
            "the data directory belongs to cluster {}, and the token to another cluster: set another, empty data_dir to join that one, or remove the token",
            cluster.id
        );
        tracing::info!("the node is already a member: the token is ignored");
        Ok(())
    }
}

/// Joins a cluster. Returns when the cluster has accepted the node and this is recorded durably.
pub(crate) async fn join(
    by: &TokenSource,
    identity: &Identity,
    config: &ConfigV1,
    address: &str,
    data_dir: &DataDir,
) -> anyhow::Result<ClusterFile> {
    let token = by.wait().await?;
    let is_apart = |(_, at): &(NodeId, String)| !is_loopback(at);
    if is_loopback(address) && token.members.iter().any(is_apart) {
        tracing::warn!(
            "the address of this node is {address}, which is a different machine for each member: set peer.advertise to an address that they can reach"
        );
    }
    let name = &config.cluster.node_name;
    tracing::info!(address, name, cluster = %token.cluster, "joining the cluster");
    let ask = async || {
        let (name, address) = (name.clone(), address.to_owned());
        quorate_peer::join(identity, &token, name, address, TransportConfig::default()).await
    };
    let joined = request_until_answered(ask).await?;
    let known = KnownMembers {
        index: joined.index,
        members: joined.members.into_iter().collect(),
        term: joined.term,
    };
    let members = known.members.len();
    tracing::info!(members, "the cluster has accepted this node");
    let cluster = ClusterFile::new(Stage::Joining, joined.id, known);
    data_dir.set_cluster(&cluster)?;
    Ok(cluster)
}

/// Whether only this machine can reach `address`, a `host:port`.
fn is_loopback(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let ip = host.trim_matches(['[', ']']).parse::<IpAddr>();
    ip.map_or(host == "localhost", |ip| ip.to_canonical().is_loopback())
}

/// The configuration of a node at `address`, unless its cluster has another address for it.
pub(crate) fn raft_config(
    config: &ConfigV1,
    identity: &Identity,
    cluster: &ClusterFile,
    address: String,
) -> RaftConfig {
    let (node, mut known) = (NodeId(identity.public_key()), cluster.known.clone());
    if cluster.stage == Stage::Founding {
        known.members.insert(node, address.clone());
    }
    let listed = known.members.get(&node).cloned().unwrap_or(address);
    RaftConfig {
        founding: founding(cluster),
        known,
        has_joined: cluster.stage == Stage::Member,
        ..config.raft(identity.clone(), cluster.id, listed)
    }
}

/// The founding, if the node founds a cluster.
fn founding(cluster: &ClusterFile) -> Option<Founding> {
    let invite = cluster.token.as_ref().map(|(token, expires)| {
        let invite = Invite {
            key: PublicKey::from_bytes(JoinToken::public_key_of(&token.seed)),
            expires: *expires,
            stays_learner: false,
            uses: INVITE_USES_MAX,
            used_by: BTreeSet::new(),
        };
        FoundingInvite {
            id: token.invite,
            invite,
        }
    });
    (cluster.stage == Stage::Founding).then_some(Founding {
        voters: cluster.voters,
        invite,
    })
}

/// Keeps the file `cluster` up to date after `node` became a member. From then on its log must not be
/// empty. If the process stops in between, the logs of the other members decide instead.
pub(crate) async fn keep(node: Arc<Node>, data_dir: Arc<DataDir>, before: ClusterFile) {
    let known = node.joined().await;
    let member = ClusterFile {
        voters: before.voters,
        ..ClusterFile::new(Stage::Member, before.id, before.known)
    };
    let (marked, id) = (data_dir.clone(), member.id.to_string());
    if let Err(error) = in_background(move || marked.mark_used(&id)).await {
        // A read-only key, as Kubernetes mounts it, cannot be marked.
        let error = format!("{error:#}");
        tracing::warn!(error, "the key file cannot be marked as used");
    }
    follow(known, data_dir, member).await;
}

/// Writes every change of the known members, until the node is dropped.
async fn follow(
    mut known: watch::Receiver<KnownMembers>,
    data_dir: Arc<DataDir>,
    mut cluster: ClusterFile,
) {
    loop {
        let now = known.borrow_and_update().clone();
        // An empty membership is unknown: keep the previous one.
        if !now.members.is_empty() {
            cluster.known = now;
        }
        let (data_dir, noted) = (data_dir.clone(), cluster.clone());
        let noting = in_background(move || data_dir.set_cluster(&noted));
        if let Err(error) = noting.await {
            let error = format!("{error:#}");
            tracing::error!(error, "the file cluster cannot be written; retrying");
            sleep(RETRY_PAUSE).await;
            continue;
        }
        if known.changed().await.is_err() {
            return;
        }
    }
}

/// Runs blocking disk work outside the serving threads.
async fn in_background(
    work: impl FnOnce() -> anyhow::Result<()> + Send + 'static,
) -> anyhow::Result<()> {
    spawn_blocking(work).await?
}

#[cfg(test)]
mod tests {
    use quorate_state::{ClusterId, LogIndex};

    use super::*;
    use crate::start::state::BootState;

    const ID: ClusterId = ClusterId([1; 32]);

    fn known(index: u64, members: &[u8]) -> KnownMembers {
        let member = |byte: &u8| (NodeId(PublicKey::from_bytes([*byte; 32])), "a:1".to_owned());
        KnownMembers {
            index: LogIndex(index),
            members: members.iter().map(member).collect(),
            ..KnownMembers::default()
        }
    }

    #[tokio::test]
    async fn known_members_survive_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = Arc::new(DataDir::open(dir.path()).unwrap());
        data_dir.identity().unwrap();
        std::fs::create_dir(dir.path().join(quorate_raft::LOG_DIR)).unwrap();
        let cluster = |known| ClusterFile::new(Stage::Member, ID, known);
        let written = async |expected: KnownMembers| {
            let expected = BootState::Member(cluster(expected));
            while BootState::of(dir.path()).unwrap() != expected {
                tokio::task::yield_now().await;
            }
        };
        let (sender, watch) = watch::channel(known(1, &[1]));
        let following = follow(watch, data_dir.clone(), cluster(known(0, &[])));
        let changing = async {
            written(known(1, &[1])).await;
            sender.send_replace(known(2, &[1, 2]));
            written(known(2, &[1, 2])).await;
            // A node that reopens its store may have no members for an instant.
            sender.send_replace(KnownMembers::default());
            sender.send_replace(known(3, &[3]));
            written(known(3, &[3])).await;
            drop(sender);
        };
        tokio::join!(following, changing);
    }

    #[test]
    fn loopback_addresses_are_recognized() {
        for loopback in [
            "127.0.0.1:1",
            "[::1]:1",
            "localhost:1",
            "[::ffff:127.0.0.1]:1",
        ] {
            assert!(is_loopback(loopback), "{loopback}");
        }
        for other in ["10.0.0.1:1", "[2001:db8::1]:1", "node1:1", "0.0.0.0:1"] {
            assert!(!is_loopback(other), "{other}");
        }
    }

    #[test]
    fn a_token_of_another_cluster_is_rejected_and_a_missing_file_is_not() {
        let cluster = ClusterFile::new(Stage::Member, ID, known(1, &[1]));
        let source = |id| {
            let invite = quorate_state::InviteId([1; 16]);
            TokenSource::Token(JoinToken::new(id, invite, [2; 32], []))
        };
        source(ID).check(&cluster).unwrap();
        TokenSource::File("absent".into()).check(&cluster).unwrap();
        let error = source(ClusterId([2; 32])).check(&cluster).unwrap_err();
        assert!(error.to_string().contains("another"), "{error}");
    }
}
