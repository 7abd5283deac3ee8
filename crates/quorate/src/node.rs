//! A node and all its fronts, put together in one place.

use std::{net::SocketAddr, sync::Arc};

use anyhow::Context;
use prometheus::Registry;
use quorate_admin::Build;
use quorate_dns::{DnsListeners, DnsServer, Responder};
use quorate_http::{HttpListener, with_cors};
use quorate_listener::Name;
use quorate_peer::{LinkServer, PeerTransport, TransportConfig};
use quorate_raft::{FatalError, Known, Node, NodeMetrics, OpenError, ShutdownError, StartingNode};
use quorate_replica::Replica;
use quorate_rpc::NodeId;
use quorate_state::{ClusterId, ClusterNames, LEVEL_MAX, Level};
use quorate_tls::Identity;

use crate::{
    config::ConfigV1,
    data_dir::{Cluster, DataDir},
    replication::ReplicationThread,
};

const BUILD: Build = Build {
    version: env!("CARGO_PKG_VERSION"),
    git_hash: match option_env!("QUORATE_GIT_HASH") {
        Some(hash) => hash,
        None => "unknown",
    },
};

/// The addresses a node listens at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addresses {
    pub(crate) http: SocketAddr,
    pub(crate) dns: SocketAddr,
    pub(crate) peer: SocketAddr,
    pub(crate) admin: SocketAddr,
}

/// Every address of a node, taken before anything is opened, so that a clash costs nothing.
struct Listeners {
    http: HttpListener,
    dns: DnsListeners,
    peer: quorate_listener::Listener,
    admin: HttpListener,
}

impl Listeners {
    async fn bind(config: &ConfigV1) -> anyhow::Result<Self> {
        Ok(Self {
            http: config.http_server().bind().await.context("http.listen")?,
            dns: config.dns.clone().bind().await.context("dns.listen")?,
            peer: quorate_listener::Listener::bind("peers", config.peer.listen)
                .await
                .context("peer.listen")?,
            admin: quorate_http::Config::new(config.admin.listen)
                .bind()
                .await
                .context("admin.listen")?,
        })
    }
}

/// What holds for one start, and is no setting.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ForThisStart {
    /// An operator says that the clock of this machine is right.
    pub(crate) trust_clock: bool,
    /// The highest feature level that the node supports: a lower one lets it serve as an older
    /// program, in tests.
    pub(crate) level_max: Level,
}

impl Default for ForThisStart {
    fn default() -> Self {
        Self {
            trust_clock: false,
            level_max: LEVEL_MAX,
        }
    }
}

/// A node that runs.
pub(crate) struct RunningNode {
    node: Arc<Node>,
    http: quorate_http::Server,
    dns: DnsServer,
    peer: quorate_listener::Server,
    admin: quorate_http::Server,
    /// Ends after all that runs on it.
    _replication: ReplicationThread,
    _data_dir: Arc<DataDir>,
}

impl RunningNode {
    /// Starts a node whose configuration was checked.
    pub(crate) async fn start(
        config: &ConfigV1,
        identity: Identity,
        once: ForThisStart,
    ) -> anyhow::Result<Self> {
        let listeners = Listeners::bind(config).await?;
        let own = identity.public_key();
        let voters = config.voters(own);
        let cluster = Cluster::new(&config.cluster.name, voters.keys().map(|id| id.0));
        let data_dir = DataDir::open(&config.data_dir)?;
        let has_joined = data_dir.check(&cluster)?;

        let registry = Registry::new();
        let names = ClusterNames {
            id: None,
            founding: Some(ClusterId(cluster.id())),
        };
        let peer_metrics = quorate_peer::Metrics::register(&registry)?;
        let transport = PeerTransport::new(
            identity.clone(),
            TransportConfig::default(),
            peer_metrics.clone(),
        );

        // Fronts first: they say at which step the node is, and serve nothing until it is open.
        let listener_metrics = quorate_listener::Metrics::register(&registry)?;
        let starting = Arc::new(StartingNode::new(NodeId(own)));
        let replica: Arc<dyn Replica> = starting.clone();
        let responder = Arc::new(Responder::new(
            config.authority(),
            replica.clone(),
            quorate_dns::Metrics::register(&registry)?,
        ));
        let relay_metrics = quorate_relay::Metrics::register(&registry)?;
        let public = quorate_relay::router(replica.clone(), config.relay(), relay_metrics)
            .merge(quorate_dns::doh_router(responder.clone()))
            .merge(quorate_admin::health_router(replica.clone(), BUILD));
        let metrics = node_metrics(&registry)?;
        let admin = quorate_admin::router(replica, registry, BUILD)?;
        let http = with_cors(public);
        let http = listeners.http.serve(http, Name::Public, &listener_metrics);
        let dns = listeners.dns.serve(responder, &listener_metrics);
        let admin = listeners.admin.serve(admin, Name::Admin, &listener_metrics);

        let raft_config = quorate_raft::Config {
            trust_clock: once.trust_clock,
            level_max: once.level_max,
            known: Known {
                names,
                members: voters,
            },
            ..config.raft(own, has_joined)
        };
        let replication = ReplicationThread::spawn().context("the thread of replication")?;
        let opening = open_node(starting, raft_config, transport, metrics);
        let node = replication.run(opening).await??;
        let data_dir = Arc::new(data_dir);
        tokio::spawn(claim(node.clone(), data_dir.clone(), cluster));
        let (config_of_peers, service) = (config.peer.clone(), node.service());
        let links = LinkServer::new(config_of_peers, &identity, service, peer_metrics);
        let peer = async move { links.serve(listeners.peer, &listener_metrics) };
        let peer = replication.run(peer).await?;
        Ok(Self {
            node,
            http,
            dns,
            peer,
            admin,
            _replication: replication,
            _data_dir: data_dir,
        })
    }

    pub(crate) fn addresses(&self) -> Addresses {
        Addresses {
            http: self.http.local_addr(),
            dns: self.dns.local_addr(),
            peer: self.peer.local_addr(),
            admin: self.admin.local_addr(),
        }
    }

    /// Resolves when the node can take PUTs.
    pub(crate) async fn ready(&self) {
        self.node.ready().await;
    }

    /// Resolves when the node cannot go on.
    pub(crate) async fn failed(&self) -> FatalError {
        self.node.failed().await
    }

    /// Stops from the outside in: what comes from clients, then replication, then the links to
    /// peers, which the handing over of leadership needs, and last what tells the operator.
    pub(crate) async fn shutdown(self) -> Result<(), ShutdownError> {
        self.node.begin_shutdown();
        self.http.shutdown().await;
        self.dns.shutdown().await;
        let stopped = self.node.shutdown().await;
        self.peer.shutdown().await;
        self.admin.shutdown().await;
        stopped
    }
}

fn node_metrics(registry: &Registry) -> anyhow::Result<NodeMetrics> {
    Ok(NodeMetrics {
        raft: quorate_raft::Metrics::register(registry)?,
        log: quorate_log::Metrics::register(registry)?,
        store: quorate_store::Metrics::register(registry)?,
    })
}

async fn open_node(
    starting: Arc<StartingNode>,
    config: quorate_raft::Config,
    transport: PeerTransport,
    metrics: NodeMetrics,
) -> anyhow::Result<Arc<Node>> {
    let dir = config.dir.display().to_string();
    tracing::info!(node = %config.node, dir, "opening the node");
    let opened = starting.open(config, Arc::new(transport), metrics).await;
    opened.map_err(|error| {
        let context = format!("the node in {dir} cannot be opened{}", hint(&error));
        anyhow::Error::new(error).context(context)
    })
}

/// Notes whose data this is once the node has a part in the cluster: from then on its log must not
/// be empty. Should the process stop in between, the node is asked by the others' logs instead.
async fn claim(node: Arc<Node>, data_dir: Arc<DataDir>, cluster: Cluster) {
    node.joined().await;
    if let Err(error) = data_dir.claim(&cluster) {
        tracing::error!(
            error = format!("{error:#}"),
            "the data is not marked as this cluster's"
        );
    }
}

/// Where to read on, if it is the data that keeps a node from opening.
fn hint(error: &OpenError) -> &'static str {
    match error.is_of_data() {
        true => " (see Damage in docs/OPERATIONS.md)",
        false => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_damaged_store_is_told_with_where_to_read_on() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = ConfigV1 {
            data_dir: dir.path().to_owned(),
            ..ConfigV1::default()
        };
        let listeners = [
            &mut config.http.listen,
            &mut config.dns.listen,
            &mut config.peer.listen,
            &mut config.admin.listen,
        ];
        for listen in listeners {
            *listen = ([127, 0, 0, 1], 0).into();
        }
        let store = dir.path().join("records.redb");
        std::fs::write(&store, [7; 65_536]).unwrap();
        let identity = Identity::generate().unwrap();
        let error = RunningNode::start(&config, identity, ForThisStart::default()).await;
        let error = format!("{:#}", error.err().expect("this is no store"));
        assert!(error.contains(store.to_str().unwrap()), "{error}");
        let hint = "see Damage in docs/OPERATIONS.md";
        assert!(error.contains(hint), "{error}");
        assert!(
            std::fs::read_to_string("../../docs/OPERATIONS.md")
                .unwrap()
                .contains("## Damage")
        );
    }
}
