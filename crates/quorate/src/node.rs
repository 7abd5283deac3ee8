//! The assembly of a node and all its servers.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use anyhow::Context;
use prometheus::{Registry, process_collector::ProcessCollector};
use quorate_admin::{AUDIT_TARGET, Reload};

use futures_util::future::join_all;
use quorate_http::listener::ListenerServer;
use quorate_peer::{LinkServer, NodeId, PeerTransport, Service, TransportConfig};
use quorate_raft::{Node, NodeMetrics, ShutdownError};
use quorate_replica::NotReady;
use quorate_state::{LEVEL_MAX, Level};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    advertised::advertised,
    backup::{NodeBackups, ScheduledBackups},
    config::{ConfigV1, Sources},
    live_settings::LiveSettings,
    logging::Logging,
    own_address,
    replication::ReplicationThread,
    servers::{Addresses, Listeners, Servers},
    start::{self, BootState, DataDir, TokenSource},
};

/// Options of one start that are not settings.
#[derive(Debug, Clone)]
pub(crate) struct StartOptions {
    /// The operator confirms that the clock of this machine is right.
    pub(crate) trust_clock: bool,
    /// The highest supported feature level. Tests lower it to simulate an older program.
    pub(crate) level_max: Level,
    /// The join token, if the node joins a cluster.
    pub(crate) join: Option<TokenSource>,
    /// The sources of its settings, if they can be reloaded.
    pub(crate) sources: Option<Sources>,
    /// Other addresses for peers, in tests.
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
    servers: Servers,
    peer: Vec<ListenerServer>,
    _scheduled_backups: Option<AbortOnDropHandle<()>>,
    /// Dropped last, after everything that runs on it.
    _replication: ReplicationThread,
    _data_dir: Arc<DataDir>,
}

impl RunningNode {
    /// Starts a node with a checked configuration.
    pub(crate) async fn start(
        config: &ConfigV1,
        mut listeners: Listeners,
        options: StartOptions,
        logging: &Logging,
    ) -> anyhow::Result<Self> {
        let data_dir = Arc::new(DataDir::open(&config.data_dir)?);
        listeners.bind_socket(config)?;
        let joins = options.join.is_some();
        let cluster = BootState::of(&config.data_dir)?.cluster(&config.data_dir, joins)?;
        if let (Some(cluster), Some(join)) = (&cluster, &options.join) {
            join.check(cluster)?;
        }
        let (identity, _) = data_dir.identity()?;
        let id = NodeId(identity.public_key());
        let address = advertised(&config.peer.advertise, listeners.peer[0].local_addr())?;
        let has_routes = !options.routes.is_empty();
        let advertised = (!config.peer.advertise.is_empty()).then(|| address.clone());

        let registry = Registry::new();
        registry.register(Box::new(ProcessCollector::for_self()))?;
        let limit_metrics = quorate_limit::LimitMetrics::register(&registry)?;
        let settings = LiveSettings::new(config, options.sources, logging.clone(), limit_metrics)?;
        // Servers first: they report the step of the start, and serve nothing until the node is open.
        let node = Arc::new(Node::new(id));
        let peer_metrics = quorate_peer::PeerMetrics::register(&registry)?;
        let metrics = NodeMetrics {
            raft: quorate_raft::RaftMetrics::register(&registry)?,
            log: quorate_log::LogMetrics::register(&registry)?,
            store: quorate_store::StoreMetrics::register(&registry)?,
        };
        let listener_metrics = quorate_http::listener::ListenerMetrics::register(&registry)?;
        let backups = NodeBackups::new(node.clone());
        let scheduled = ScheduledBackups::new(config, backups.clone(), &registry)?;
        let (servers, peer_listeners) = listeners.serve(
            &settings,
            node.clone(),
            registry,
            backups,
            &listener_metrics,
        )?;

        let cluster = match (cluster, options.join) {
            (Some(cluster), _) => cluster,
            (None, join) => {
                node.enter(NotReady::Asking);
                let join = join.expect("a node with neither data nor a token does not start");
                start::join(&join, &identity, config, &address, &data_dir).await?
            }
        };
        let raft_config = quorate_raft::RaftConfig {
            trust_clock: options.trust_clock,
            level_max: options.level_max,
            ..start::raft_config(config, &identity, &cluster, address)
        };
        let transport = TransportConfig {
            routes: options.routes,
            ..TransportConfig::default()
        };
        let transport = PeerTransport::new(identity.clone(), transport, peer_metrics.clone());
        let replication = ReplicationThread::spawn().context("the replication thread")?;
        let opening = open_node(node.clone(), raft_config, transport, metrics);
        let service = replication.run(opening).await??;
        let keeping = start::keep(node.clone(), data_dir.clone(), cluster);
        tokio::spawn(keeping);
        let scheduled =
            scheduled.map(|scheduled| AbortOnDropHandle::new(tokio::spawn(scheduled.run())));
        if !has_routes {
            tokio::spawn(own_address::check(node.clone(), id, advertised));
        }
        let links = LinkServer::new(config.peer.clone(), &identity, service, peer_metrics);
        let peer = async move { links.serve(peer_listeners, &listener_metrics) };
        let peer = replication.run(peer).await?;
        Ok(Self {
            node,
            settings,
            servers,
            peer,
            _scheduled_backups: scheduled,
            _replication: replication,
            _data_dir: data_dir,
        })
    }

    pub(crate) fn addresses(&self) -> Addresses {
        Addresses {
            http: self.servers.http.local_addr(),
            dns: self.servers.dns.local_addr(),
            http_tls: self.servers.http.tls_addrs().first().copied(),
            dns_tls: self.servers.dns.tls_addrs().first().copied(),
            peer: self.peer[0].local_addr(),
            admin: self.servers.admin.local_addr(),
        }
    }

    /// The socket of the admin API.
    pub(crate) fn admin_socket(&self) -> Option<PathBuf> {
        let in_force = self.settings.in_force();
        in_force.admin.socket_in(&in_force.data_dir)
    }

    /// Reloads the configuration after a signal. The result is in the log and in the audit log.
    pub(crate) async fn reload_by_signal(&self) {
        let settings = self.settings.clone();
        let reloaded = tokio::task::spawn_blocking(move || settings.reload()).await;
        let outcome = match reloaded {
            Ok(Ok(_)) => "done",
            Ok(Err(_)) => "refused",
            Err(_) => "unknown: interrupted",
        };
        tracing::info!(
            target: AUDIT_TARGET,
            by = "signal",
            action = "reload",
            outcome,
            "an operator's change"
        );
    }

    /// Stops from the outside to the inside: reports that it is not ready, answers requests in progress,
    /// hands over leadership, ends replication, closes the links to peers, which both need, and last the
    /// admin listener.
    pub(crate) async fn shutdown(self) -> Result<(), ShutdownError> {
        let Servers {
            http,
            dns,
            admin,
            admin_socket,
            ..
        } = self.servers;
        self.node.begin_shutdown();
        http.shutdown().await;
        dns.shutdown().await;
        let stopped = self.node.shutdown().await;
        join_all(self.peer.into_iter().map(ListenerServer::shutdown)).await;
        admin.shutdown().await;
        if let Some(socket) = admin_socket {
            socket.shutdown().await;
        }
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
        let read_on = match error.is_data_error() {
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
    async fn a_damaged_store_is_reported_with_its_document() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = ConfigV1 {
            data_dir: dir.path().to_owned(),
            ..ConfigV1::default()
        };
        let free = vec![([127, 0, 0, 1], 0).into()];
        for listen in [
            &mut config.http.listen,
            &mut config.peer.listen,
            &mut config.admin.listen,
            &mut config.dns.listen,
        ] {
            *listen = free.clone().into();
        }
        start::found(&config, None, 1).unwrap();
        let store = dir.path().join("records.redb");
        std::fs::write(&store, [7; 65_536]).unwrap();
        let (options, logging) = (
            StartOptions::default(),
            Logging::start("error", crate::logging::LogFormat::Text),
        );
        let listeners = Listeners::bind(&config).await.unwrap();
        let error = RunningNode::start(&config, listeners, options, &logging).await;
        let error = format!("{:#}", error.err().expect("the start must fail"));
        assert!(error.contains(store.to_str().unwrap()), "{error}");
        let hint = "see docs/trouble/damaged-data.md";
        assert!(error.contains(hint), "{error}");
    }
}
