//! A node and all its fronts, put together in one place.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::Context;
use prometheus::Registry;
use quorate_admin::{AUDIT_TARGET, Reload};

use quorate_peer::{LinkServer, NodeId, PeerTransport, Service, TransportConfig};
use quorate_raft::{Node, NodeMetrics, ShutdownError};
use quorate_replica::NotReady;
use quorate_state::{LEVEL_MAX, Level};

use crate::{
    advertised::advertised,
    config::{ConfigV1, Sources},
    fronts::{Addresses, Fronts, Listeners},
    live_settings::LiveSettings,
    logging::Logging,
    own_address,
    replication::ReplicationThread,
    start::{self, DataDir, JoinBy, State},
};

/// What holds for one start, and is no setting.
#[derive(Debug, Clone)]
pub(crate) struct StartOptions {
    /// An operator says that the clock of this machine is right.
    pub(crate) trust_clock: bool,
    /// The highest feature level that the node supports: a lower one lets it serve as an older
    /// program, in tests.
    pub(crate) level_max: Level,
    /// What lets the node join a cluster.
    pub(crate) join: Option<JoinBy>,
    /// Where its settings come from, if they can be read again.
    pub(crate) sources: Option<Sources>,
    /// Peers that are dialed elsewhere than where they are, in tests.
    pub(crate) routes: BTreeMap<NodeId, String>,
}

impl Default for StartOptions {
    fn default() -> Self {
        Self {
            trust_clock: false,
            level_max: LEVEL_MAX,
            join: None,
            sources: None,
            routes: BTreeMap::new(),
        }
    }
}

pub(crate) struct RunningNode {
    pub(crate) node: Arc<Node>,
    settings: LiveSettings,
    fronts: Fronts,
    peer: quorate_http::listener::ListenerServer,
    /// Ends after all that runs on it.
    _replication: ReplicationThread,
    _data_dir: Arc<DataDir>,
}

impl RunningNode {
    /// Starts a node whose configuration was checked.
    pub(crate) async fn start(
        config: &ConfigV1,
        listeners: Listeners,
        once: StartOptions,
        logging: &Logging,
    ) -> anyhow::Result<Self> {
        let data_dir = Arc::new(DataDir::open(&config.data_dir)?);
        let joins = once.join.is_some();
        let cluster = State::of(&config.data_dir)?.cluster(&config.data_dir, joins)?;
        if let (Some(cluster), Some(join)) = (&cluster, &once.join) {
            join.check(cluster)?;
        }
        let (identity, _) = data_dir.identity()?;
        let id = NodeId(identity.public_key());
        let address = advertised(&config.peer.advertise, listeners.peer.local_addr())?;
        let has_routes = !once.routes.is_empty();
        let advertised = (!config.peer.advertise.is_empty()).then(|| address.clone());

        let registry = Registry::new();
        let limit_metrics = quorate_limit::LimitMetrics::register(&registry)?;
        let settings = LiveSettings::new(config, once.sources, logging.clone(), limit_metrics)?;
        // Fronts first: they say at which step the node is, and serve nothing until it is open.
        let node = Arc::new(Node::new(id));
        let peer_metrics = quorate_peer::PeerMetrics::register(&registry)?;
        let metrics = NodeMetrics {
            raft: quorate_raft::RaftMetrics::register(&registry)?,
            log: quorate_log::LogMetrics::register(&registry)?,
            store: quorate_store::StoreMetrics::register(&registry)?,
        };
        let listener_metrics = quorate_http::listener::ListenerMetrics::register(&registry)?;
        let (fronts, peer_listener) =
            listeners.serve(&settings, node.clone(), registry, &listener_metrics)?;

        let cluster = match (cluster, once.join) {
            (Some(cluster), _) => cluster,
            (None, join) => {
                node.enter(NotReady::Asking);
                let join = join.expect("a node with neither data nor a token does not start");
                start::join(&join, &identity, config, &address, &data_dir).await?
            }
        };
        let raft_config = quorate_raft::RaftConfig {
            trust_clock: once.trust_clock,
            level_max: once.level_max,
            ..start::raft_config(config, &identity, &cluster, address)
        };
        let transport = TransportConfig {
            routes: once.routes,
            ..TransportConfig::default()
        };
        let transport = PeerTransport::new(identity.clone(), transport, peer_metrics.clone());
        let replication = ReplicationThread::spawn().context("the thread of replication")?;
        let opening = open_node(node.clone(), raft_config, transport, metrics);
        let service = replication.run(opening).await??;
        let keeping = start::keep(node.clone(), data_dir.clone(), cluster);
        tokio::spawn(keeping);
        if !has_routes {
            tokio::spawn(own_address::check(node.clone(), id, advertised));
        }
        let links = LinkServer::new(config.peer.clone(), &identity, service, peer_metrics);
        let peer = async move { links.serve(peer_listener, &listener_metrics) };
        let peer = replication.run(peer).await?;
        Ok(Self {
            node,
            settings,
            fronts,
            peer,
            _replication: replication,
            _data_dir: data_dir,
        })
    }

    pub(crate) fn addresses(&self) -> Addresses {
        Addresses {
            http: self.fronts.http.local_addr(),
            dns: self.fronts.dns.local_addr(),
            http_tls: self.fronts.http.tls_addrs().first().copied(),
            dns_tls: self.fronts.dns.tls_addrs().first().copied(),
            peer: self.peer.local_addr(),
            admin: self.fronts.admin.local_addr(),
        }
    }

    /// Reads the configuration again, as a signal asks. What comes of it is in the log, and in that
    /// of what operators change.
    pub(crate) async fn reload_by_signal(&self) {
        let settings = self.settings.clone();
        let reloaded = tokio::task::spawn_blocking(move || settings.reload()).await;
        let outcome = match reloaded {
            Ok(Ok(_)) => "done",
            Ok(Err(_)) => "refused",
            Err(_) => "unknown: broken off",
        };
        tracing::info!(
            target: AUDIT_TARGET,
            by = "signal",
            action = "reload",
            outcome,
            "an operator's change"
        );
    }

    /// Stops from the outside in. First it says that it is not ready; then it answers what clients
    /// have asked, hands leadership over and ends replication; then come the links to peers, which
    /// both need, and last what tells the operator.
    pub(crate) async fn shutdown(self) -> Result<(), ShutdownError> {
        let Fronts {
            http, dns, admin, ..
        } = self.fronts;
        self.node.begin_shutdown();
        http.shutdown().await;
        dns.shutdown().await;
        let stopped = self.node.shutdown().await;
        self.peer.shutdown().await;
        admin.shutdown().await;
        stopped
    }
}

async fn open_node(
    node: Arc<Node>,
    config: quorate_raft::RaftConfig,
    transport: PeerTransport,
    metrics: NodeMetrics,
) -> anyhow::Result<Arc<dyn Service>> {
    let dir = config.dir.display().to_string();
    tracing::info!(node = %config.node, address = config.address, dir, "opening the node");
    let opened = node.open(config, Arc::new(transport), metrics).await;
    opened.map_err(|error| {
        let read_on = match error.is_of_data() {
            true => " (see docs/trouble/damaged-data.md)",
            false => "",
        };
        let context = format!("the node in {dir} cannot be opened{read_on}");
        anyhow::Error::new(error).context(context)
    })
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
        let free = ([127, 0, 0, 1], 0).into();
        let listeners = [
            &mut config.http.listen,
            &mut config.peer.listen,
            &mut config.admin.listen,
        ];
        for listen in listeners {
            *listen = free;
        }
        config.dns.listen = vec![free].into();
        start::found(&config, None, 1).unwrap();
        let store = dir.path().join("records.redb");
        std::fs::write(&store, [7; 65_536]).unwrap();
        let (once, logging) = (StartOptions::default(), Logging::start("error"));
        let listeners = Listeners::bind(&config).await.unwrap();
        let error = RunningNode::start(&config, listeners, once, &logging).await;
        let error = format!("{:#}", error.err().expect("this is no store"));
        assert!(error.contains(store.to_str().unwrap()), "{error}");
        let hint = "see docs/trouble/damaged-data.md";
        assert!(error.contains(hint), "{error}");
    }
}
