//! HTTP for any router.

use std::{net::SocketAddr, sync::Arc};

use futures_util::future::join_all;
use tokio_rustls::TlsAcceptor;

use crate::{
    Charge, HttpConfig, Routes, ServerCertificate, Trust,
    connection::Service,
    listener::{BindError, Connections, Limits, Listener, ListenerMetrics, ListenerServer, Name},
    protocol::{HttpProtocol, TLS_PROTOCOLS},
};

/// What is spoken at a listener. Each connection to one for proxies first says for whom it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Tls,
    Proxy,
    ProxyTls,
}

impl HttpConfig {
    /// Takes the addresses. Clients can connect from now on, and wait until
    /// [`serve`](HttpListeners::serve).
    pub async fn bind(self) -> Result<HttpListeners, BindError> {
        let mut listeners = vec![(Kind::Plain, Listener::bind("HTTP", self.listen)?)];
        for (kind, protocol, addresses) in [
            (Kind::Tls, "HTTPS", &self.tls_listen),
            (Kind::Proxy, "HTTP behind proxies", &self.proxy_listen),
            (
                Kind::ProxyTls,
                "HTTPS behind proxies",
                &self.proxy_tls_listen,
            ),
        ] {
            for listen in addresses {
                listeners.push((kind, Listener::bind_family(protocol, *listen)?));
            }
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

/// Addresses that were taken, and serve nothing yet.
pub struct HttpListeners {
    config: HttpConfig,
    listeners: Vec<(Kind, Listener)>,
    /// What is shown where HTTPS listens, which it cannot without.
    pub certificate: Option<ServerCertificate>,
    /// Which proxies are trusted: they may have any number of connections and bytes, and those of
    /// listeners for proxies are believed who the client is. By default nobody is.
    pub is_trusted: Trust,
    /// Charges clients for the bytes of all their connections. By default only each connection
    /// has a bound.
    pub charge: Option<Charge>,
}

impl HttpListeners {
    /// The address of plain HTTP, with the port that was taken.
    pub fn local_addr(&self) -> SocketAddr {
        self.listeners[0].1.local_addr()
    }

    /// Serves `routes` until [`Server::shutdown`], as the listener of this name.
    ///
    /// # Panics
    ///
    /// Panics where HTTPS listens without a certificate, which the check of the configuration refuses.
    pub fn serve(self, routes: impl Into<Routes>, name: Name, metrics: &ListenerMetrics) -> Server {
        let tls = self
            .certificate
            .map(|certificate| TlsAcceptor::from(certificate.server_config(&TLS_PROTOCOLS)));
        let limits = Limits {
            connection_count_max: self.config.connection_count_max,
            connection_count_per_client_max: Some(self.config.connection_count_per_client_max),
            drain_timeout: self.config.drain_timeout,
        };
        let connections = Connections::with_exempt(limits, self.is_trusted.clone());
        let service = Service::new(self.config, routes.into(), self.is_trusted, self.charge);
        let service = Arc::new(service);
        let serve = |(kind, listener): (Kind, Listener)| {
            let protocol = Arc::new(HttpProtocol {
                service: service.clone(),
                tls: matches!(kind, Kind::Tls | Kind::ProxyTls)
                    .then(|| tls.clone().expect("HTTPS needs a certificate")),
                is_proxied: matches!(kind, Kind::Proxy | Kind::ProxyTls),
            });
            let server = listener.serve(protocol, &connections, name, metrics);
            (kind, server)
        };
        Server(self.listeners.into_iter().map(serve).collect())
    }
}

/// A running server. Dropping it shuts it down too, unawaited.
#[derive(Debug)]
pub struct Server(Vec<(Kind, ListenerServer)>);

impl Server {
    /// Where it serves plain HTTP.
    pub fn local_addr(&self) -> SocketAddr {
        self.0[0].1.local_addr()
    }

    pub fn tls_addrs(&self) -> Vec<SocketAddr> {
        self.addrs(Kind::Tls)
    }

    /// Where it serves plain HTTP and HTTPS for proxies that name the client.
    #[cfg(test)]
    pub(crate) fn proxy_addrs(&self) -> [Vec<SocketAddr>; 2] {
        [Kind::Proxy, Kind::ProxyTls].map(|kind| self.addrs(kind))
    }

    fn addrs(&self, kind: Kind) -> Vec<SocketAddr> {
        let servers = self.0.iter().filter(|(of, _)| *of == kind);
        servers.map(|(_, server)| server.local_addr()).collect()
    }

    /// Frees the addresses and lets each connection end; at the drain limit cuts off all that are
    /// left.
    pub async fn shutdown(self) {
        join_all(self.0.into_iter().map(|(_, server)| server.shutdown())).await;
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
