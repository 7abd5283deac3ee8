//! Binds the addresses of HTTP and serves a router on them.

use std::{net::SocketAddr, sync::Arc};

use futures_util::future::join_all;
use tokio_rustls::TlsAcceptor;

use crate::{
    BandwidthLimiter, HttpConfig, IsTrusted, Routes, ServerCertificate,
    connection::Service,
    listener::{
        BindError, ConnectionLimits, Connections, Listener, ListenerMetrics, ListenerName,
        ListenerServer,
    },
    protocol::{HttpProtocol, TLS_PROTOCOLS},
};

/// What a listener expects. On listeners for proxies, each connection begins with a header of the
/// PROXY protocol, which names the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ListenerKind {
    Plain,
    Tls,
    Proxy,
    ProxyTls,
}

impl HttpConfig {
    /// Binds the addresses. Clients can connect from now on, and wait until
    /// [`serve`](HttpListeners::serve).
    pub async fn bind(self) -> Result<HttpListeners, BindError> {
        let mut listeners = Vec::new();
        for (kind, protocol, addresses) in [
            (ListenerKind::Plain, "HTTP", &self.listen),
            (ListenerKind::Tls, "HTTPS", &self.tls_listen),
            (
                ListenerKind::Proxy,
                "HTTP behind proxies",
                &self.proxy_listen,
            ),
            (
                ListenerKind::ProxyTls,
                "HTTPS behind proxies",
                &self.proxy_tls_listen,
            ),
        ] {
            let bound = Listener::bind_all(protocol, addresses)?;
            listeners.extend(bound.into_iter().map(|listener| (kind, listener)));
        }
        Ok(HttpListeners {
            listeners,
            certificate: None,
            is_trusted: Arc::new(|_| false),
            charge: None,
            config: self,
        })
    }
}

/// Addresses that are bound and not served yet.
pub struct HttpListeners {
    config: HttpConfig,
    listeners: Vec<(ListenerKind, Listener)>,
    /// The certificate of HTTPS, which needs one.
    pub certificate: Option<ServerCertificate>,
    /// Which proxies are trusted. They may have any number of connections and bytes, and on
    /// listeners for proxies they name the client. By default none is.
    pub is_trusted: IsTrusted,
    /// Limits the bytes of all connections of a client together. By default only each connection
    /// has a limit.
    pub charge: Option<BandwidthLimiter>,
}

impl HttpListeners {
    /// The first bound address of plain HTTP, with its port.
    pub fn local_addr(&self) -> SocketAddr {
        self.listeners[0].1.local_addr()
    }

    /// Serves `routes` until [`Server::shutdown`]. `name` is the name of the listener in metrics.
    ///
    /// # Panics
    ///
    /// Panics if HTTPS has no certificate. The check of the configuration rejects that.
    pub fn serve(
        self,
        routes: impl Into<Routes>,
        name: ListenerName,
        metrics: &ListenerMetrics,
    ) -> Server {
        let tls = self
            .certificate
            .map(|certificate| TlsAcceptor::from(certificate.server_config(&TLS_PROTOCOLS)));
        let limits = ConnectionLimits {
            connection_count_max: self.config.connection_count_max,
            connection_count_per_client_max: Some(self.config.connection_count_per_client_max),
            drain_timeout: self.config.drain_timeout,
        };
        let connections = Connections::with_exempt(limits, self.is_trusted.clone());
        let service = Service::new(self.config, routes.into(), self.is_trusted, self.charge);
        let service = Arc::new(service);
        let serve = |(kind, listener): (ListenerKind, Listener)| {
            let protocol = Arc::new(HttpProtocol {
                service: service.clone(),
                tls: matches!(kind, ListenerKind::Tls | ListenerKind::ProxyTls)
                    .then(|| tls.clone().expect("HTTPS needs a certificate")),
                is_proxied: matches!(kind, ListenerKind::Proxy | ListenerKind::ProxyTls),
            });
            let server = listener.serve(protocol, &connections, name, metrics);
            (kind, server)
        };
        Server(self.listeners.into_iter().map(serve).collect())
    }
}

/// A running server. Dropping it starts a shutdown without waiting for it.
#[derive(Debug)]
pub struct Server(Vec<(ListenerKind, ListenerServer)>);

impl Server {
    /// The first address of plain HTTP.
    pub fn local_addr(&self) -> SocketAddr {
        self.0[0].1.local_addr()
    }

    pub fn tls_addrs(&self) -> Vec<SocketAddr> {
        self.addrs(ListenerKind::Tls)
    }

    /// The addresses of plain HTTP and of HTTPS for proxies that name the client.
    #[cfg(test)]
    pub(crate) fn proxy_addrs(&self) -> [Vec<SocketAddr>; 2] {
        [ListenerKind::Proxy, ListenerKind::ProxyTls].map(|kind| self.addrs(kind))
    }

    fn addrs(&self, kind: ListenerKind) -> Vec<SocketAddr> {
        let servers = self.0.iter().filter(|(of, _)| *of == kind);
        servers.map(|(_, server)| server.local_addr()).collect()
    }

    /// Closes the listeners and lets each connection finish. At the drain limit it closes those
    /// that are left.
    pub async fn shutdown(self) {
        join_all(self.0.into_iter().map(|(_, server)| server.shutdown())).await;
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
