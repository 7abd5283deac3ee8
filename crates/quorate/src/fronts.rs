//! The listeners of a node, and what it serves at them to all but its peers.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use anyhow::Context;
use prometheus::Registry;
use quorate_admin::{Build, ServedZones};
use quorate_dns::{ConfiguredZones, DnsListeners, DnsServer, Responder};
use quorate_http::{
    HttpListeners,
    listener::{Exempt, Listener, ListenerMetrics, Name},
    with_cors,
};
use quorate_raft::Node;
use quorate_replica::{NamedSet, WireName};
use tokio_util::task::AbortOnDropHandle;

use crate::{config::ConfigV1, live_settings::LiveSettings};

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
    /// The first of them.
    pub(crate) dns: SocketAddr,
    /// The first at which HTTP is encrypted.
    pub(crate) http_tls: Option<SocketAddr>,
    /// The first at which DNS is encrypted by TLS.
    pub(crate) dns_tls: Option<SocketAddr>,
    pub(crate) peer: SocketAddr,
    pub(crate) admin: SocketAddr,
}

/// Every address of a node, taken before anything is opened, so that a clash costs nothing.
pub(crate) struct Listeners {
    http: HttpListeners,
    dns: DnsListeners,
    /// Others are answered here once the node is open; until then they wait.
    pub(crate) peer: Listener,
    admin: HttpListeners,
}

impl Listeners {
    pub(crate) async fn bind(config: &ConfigV1) -> anyhow::Result<Self> {
        Ok(Self {
            http: config.http_server().bind().await.context("http")?,
            dns: config.dns.clone().bind().await.context("dns")?,
            peer: Listener::bind("peers", config.peer.listen).context("peer.listen")?,
            admin: quorate_http::HttpConfig::new(config.admin.listen)
                .bind()
                .await
                .context("admin.listen")?,
        })
    }
    /// Serves `replica` at all but that for peers, which is returned.
    pub(crate) fn serve(
        self,
        settings: &LiveSettings,
        replica: Arc<Node>,
        registry: Registry,
        metrics: &ListenerMetrics,
    ) -> anyhow::Result<(Fronts, Listener)> {
        let config = settings.in_force().clone();
        let limits = settings.answer_limits.clone();
        let responder = Arc::new(Responder::new(
            &config.dns,
            config.origins(),
            limits.clone(),
            replica.clone(),
            quorate_dns::DnsMetrics::register(&registry)?,
        )?);
        let relay_metrics = quorate_relay::RelayMetrics::register(&registry)?;
        let relay = quorate_relay::RelayConfig {
            rules: settings.rules.clone(),
            deadline: config.relay_deadline(),
            watch: config.watch.clone(),
        };
        let public = quorate_relay::router(replica.clone(), relay, relay_metrics)
            .merge(quorate_dns::doh_router(responder.clone()))
            .merge(quorate_admin::health_router(replica.clone(), BUILD));
        let asked = quorate_admin::AdminNode {
            replica,
            registry,
            build: BUILD,
            reload: Box::new(settings.clone()),
            log: Box::new(settings.logging.clone()),
            zones: Box::new(OwnZones(ConfiguredZones::new(&config.origins()))),
        };
        let admin = quorate_admin::router(asked, settings.tokens.clone(), &config.admin)?;
        let certificate = settings.certificate.clone();
        // What holds for datagrams holds for connections: who is exempt may have any number.
        let is_exempt: Exempt = Arc::new(move |client| limits.is_exempt(client));
        let dns = self
            .dns
            .serve(responder, certificate.as_ref(), &is_exempt, metrics);
        let proxies = settings.rules.trusted_proxies.clone();
        let byte_rates = settings.byte_rates.clone();
        let mut http = self.http;
        http.certificate.clone_from(&certificate);
        http.is_trusted = Arc::new(move |peer| proxies.load().contains(peer));
        http.charge = Some(Arc::new(move |client, count| {
            byte_rates.charge(client, count)
        }));
        let fronts = Fronts {
            http: http.serve(with_cors(public), Name::Public, metrics),
            dns: dns.context("dns")?,
            admin: self.admin.serve(admin, Name::Admin, metrics),
            _certificate_watch: certificate.map(|certificate| certificate.watch()),
        };
        Ok((fronts, self.peer))
    }
}

/// The zones of a node, for its operators.
struct OwnZones(ConfiguredZones);

impl ServedZones for OwnZones {
    fn serials(&self) -> BTreeMap<WireName, u32> {
        self.0.serials()
    }

    fn check(&self, zone: &WireName, set: &NamedSet) -> Result<(), String> {
        self.0.check(zone, &set.owner, set.record_type)
    }
}

/// What clients and operators are served.
pub(crate) struct Fronts {
    /// The relay and DNS over HTTPS.
    pub(crate) http: quorate_http::Server,
    pub(crate) dns: DnsServer,
    pub(crate) admin: quorate_http::Server,
    /// Follows the files of the certificate.
    pub(crate) _certificate_watch: Option<AbortOnDropHandle<()>>,
}
