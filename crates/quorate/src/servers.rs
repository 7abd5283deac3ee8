//! The listeners of a node, and the servers of clients and operators.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use anyhow::Context;
use futures_util::future::BoxFuture;
use prometheus::Registry;
use quorate_acme::{Acme, AcmeMetrics, CertificatePem, watch_certificate};
use quorate_admin::{AdminRouters, Build, ServedZones};
use quorate_dht::{Bridge, DhtMetrics};
use quorate_disk::LinuxDisk;
use quorate_dns::{ConnectionRules, DnsDht, DnsListeners, DnsServer, Responder};
use quorate_http::{
    CertificateMetrics, HttpListeners, ServerCertificate, SocketListener, SocketServer,
    listener::{Listener, ListenerMetrics, ListenerName},
    with_cors,
};
use quorate_raft::Node;
use quorate_relay::RelayDht;
use quorate_replica::{CertificateOperator, DhtOperator, NamedSet, SecretStore, WireName};
use tokio_util::task::AbortOnDropHandle;

use crate::{backup::NodeBackups, config::ConfigV1, live_settings::LiveSettings};

const BUILD: Build = Build {
    version: env!("CARGO_PKG_VERSION"),
    git_hash: match option_env!("QUORATE_GIT_HASH") {
        Some(hash) => hash,
        None => "unknown",
    },
};

/// The addresses of a node's listeners: the first of each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addresses {
    pub(crate) http: SocketAddr,
    pub(crate) dns: SocketAddr,
    pub(crate) http_tls: Option<SocketAddr>,
    pub(crate) dns_tls: Option<SocketAddr>,
    pub(crate) peer: SocketAddr,
    pub(crate) admin: SocketAddr,
}

/// The bound listeners of a node. They are bound before any file is opened, so that a clash does no harm.
pub(crate) struct Listeners {
    http: HttpListeners,
    dns: DnsListeners,
    /// Peers wait here until the node is open.
    pub(crate) peer: Vec<Listener>,
    admin: HttpListeners,
    socket: Option<SocketListener>,
}

impl Listeners {
    pub(crate) async fn bind(config: &ConfigV1) -> anyhow::Result<Self> {
        Ok(Self {
            http: config.http_server().bind().await.context("http")?,
            dns: config.dns.clone().bind().await.context("dns")?,
            peer: Listener::bind_all("peers", &config.peer.listen).context("peer.listen")?,
            admin: config.admin_server().bind().await.context("admin.listen")?,
            socket: None,
        })
    }

    /// Binds the socket of the admin API. It may be in the data directory, which must exist and be locked.
    pub(crate) fn bind_socket(&mut self, config: &ConfigV1) -> anyhow::Result<()> {
        if let Some(path) = config.admin.socket_in(&config.data_dir) {
            let group = quorate_admin::socket_group(&config.admin.socket_group);
            let group = group.context("admin.socket_group")?;
            let bound = SocketListener::bind(&path, group).context("admin.socket")?;
            self.socket = Some(bound);
        }
        Ok(())
    }

    /// Serves `replica` at all listeners except those for peers, which are returned.
    pub(crate) fn serve(
        self,
        settings: &LiveSettings,
        replica: Arc<Node>,
        registry: Registry,
        backups: NodeBackups,
        metrics: &ListenerMetrics,
    ) -> anyhow::Result<(Servers, Vec<Listener>)> {
        let config = settings.in_force().clone();
        let limits = settings.answer_limits.clone();
        let dht = Bridge::start(
            config.dht.clone(),
            replica.clone(),
            settings.rules.limits.clone(),
            DhtMetrics::register(&registry)?,
        );
        let dht = dht.map(|bridge| Arc::new(bridge) as Arc<dyn DhtOperator>);
        let origins = config.origins();
        let zone_names: Vec<_> = origins.iter().map(|origin| origin.name.clone()).collect();
        let responder = Responder::new(
            &config.dns,
            origins,
            limits.clone(),
            replica.clone(),
            quorate_dns::DnsMetrics::register(&registry)?,
        )?;
        let responder = Arc::new(responder.with_dht(dht.clone().map(|bridge| DnsDht {
            bridge,
            deadline: config.dht.dns_deadline(),
        })));
        let relay_metrics = quorate_relay::RelayMetrics::register(&registry)?;
        let certificate_metrics = CertificateMetrics::register(&registry)?;
        let relay = quorate_relay::RelayConfig {
            rules: settings.rules.clone(),
            deadline: config.relay_deadline(),
            watch: config.watch.clone(),
            dht: dht.clone().map(|bridge| RelayDht {
                bridge,
                deadline: config.dht.http_deadline(),
            }),
        };
        let public = quorate_relay::router(replica.clone(), relay, relay_metrics)
            .merge(quorate_dns::doh_router(
                responder.clone(),
                settings.rules.clone(),
            ))
            .merge(quorate_admin::health_router(
                replica.clone(),
                dht.clone(),
                BUILD,
            ));
        let acme: Arc<dyn CertificateOperator> = Arc::new(Acme::start(
            config.tls.acme.clone(),
            &zone_names,
            replica.clone(),
            Arc::new(LinuxDisk),
            AcmeMetrics::register(&registry)?,
        ));
        let admin_node = quorate_admin::AdminNode {
            registry,
            build: BUILD,
            reload: Box::new(settings.clone()),
            log: Box::new(settings.logging.clone()),
            zones: Box::new(AdminZones(responder.clone())),
            backups: Box::new(backups),
            dht,
            certificate: acme,
            replica: replica.clone(),
        };
        let AdminRouters { tcp, socket } =
            quorate_admin::routers(admin_node, &settings.tokens, &config.admin)?;
        let serve_socket = |listener: SocketListener| {
            let limits = config.admin_server();
            listener.serve(limits, socket, ListenerName::AdminSocket, metrics)
        };
        let certificate = settings.certificate.clone();
        let proxies = settings.rules.trusted_proxies.clone();
        let byte_rates = settings.byte_rates.clone();
        let rules = ConnectionRules {
            // As with datagrams.
            is_exempt: Arc::new(move |client| limits.is_exempt(client)),
            is_trusted: Arc::new(move |peer| proxies.load().contains(peer)),
            charge: Some(Arc::new(move |client, count| {
                byte_rates.charge(client, count)
            })),
            queries: settings.rules.limits.clone(),
        };
        let dns = self.dns;
        let dns = dns.serve(responder, certificate.as_ref(), &rules, metrics);
        let mut http = self.http;
        http.certificate.clone_from(&certificate);
        http.is_trusted = rules.is_trusted;
        http.charge = rules.charge;
        let mut admin = self.admin;
        admin.certificate.clone_from(&certificate);
        let servers = Servers {
            http: http.serve(with_cors(public), ListenerName::Public, metrics),
            dns: dns.context("dns")?,
            admin: admin.serve(tcp, ListenerName::Admin, metrics),
            admin_socket: self.socket.map(serve_socket),
            _certificate_watch: certificate.map(|certificate| {
                let follow = config.tls.acme.is_on().then(|| {
                    let follow = follow_certificate(certificate.clone(), replica);
                    AbortOnDropHandle::new(tokio::spawn(follow))
                });
                (certificate.watch(certificate_metrics), follow)
            }),
        };
        Ok((servers, self.peer))
    }
}

/// Serves the certificate that the cluster has ordered, now and whenever there is another one.
async fn follow_certificate(certificate: ServerCertificate, replica: Arc<dyn SecretStore>) {
    let on_change = |CertificatePem { chain, key }| match certificate.set(
        "the secrets of the cluster",
        chain,
        key,
    ) {
        Ok(()) => tracing::info!("serving another certificate that the cluster has ordered"),
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "the certificate of the cluster is not usable");
        }
    };
    watch_certificate(replica, on_change).await;
}

/// The zones that DNS serves, for the admin API.
struct AdminZones(Arc<Responder>);

impl ServedZones for AdminZones {
    fn serials(&self) -> BTreeMap<WireName, u32> {
        self.0.configured_zones().serials()
    }

    fn check(&self, zone: &WireName, set: &NamedSet) -> Result<(), String> {
        let zones = self.0.configured_zones();
        zones.check(zone, &set.owner, set.record_type)
    }

    fn served(&self, version: u64) -> BoxFuture<'_, ()> {
        Box::pin(self.0.zones_served(version))
    }
}

/// The servers of clients and operators.
pub(crate) struct Servers {
    /// The relay and DNS over HTTPS.
    pub(crate) http: quorate_http::Server,
    pub(crate) dns: DnsServer,
    pub(crate) admin: quorate_http::Server,
    pub(crate) admin_socket: Option<SocketServer>,
    /// Reloads the certificates when their files change, and the ordered one when it is renewed.
    pub(crate) _certificate_watch: Option<(AbortOnDropHandle<()>, Option<AbortOnDropHandle<()>>)>,
}
