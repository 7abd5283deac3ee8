//! HTTP for any router.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use crate::ServerCertificate;
use crate::listener::{BindError, Connections, Limits, Listener, ListenerMetrics, Name};
use futures_util::future::join_all;
use tokio_rustls::TlsAcceptor;

use crate::{
    Charge, HttpConfig, Routes,
    connection::Service,
    protocol::{HttpProtocol, TLS_PROTOCOLS},
};

/// Says whether somebody is a proxy whose word about the client's address counts.
pub type Trust = Arc<dyn Fn(IpAddr) -> bool + Send + Sync>;

impl HttpConfig {
    /// Takes the addresses. Clients can connect from now on, and wait until
    /// [`serve`](HttpListeners::serve).
    pub async fn bind(self) -> Result<HttpListeners, BindError> {
        let mut bound = HttpListeners {
            plain: vec![Listener::bind("HTTP", self.listen)?],
            tls: Vec::new(),
            proxy: Vec::new(),
            proxy_tls: Vec::new(),
            certificate: None,
            is_trusted: Arc::new(|_| false),
            charge: None,
            config: self,
        };
        let config = &bound.config;
        for (protocol, addresses, listeners) in [
            ("HTTPS", &config.tls_listen, &mut bound.tls),
            (
                "HTTP behind proxies",
                &config.proxy_listen,
                &mut bound.proxy,
            ),
            (
                "HTTPS behind proxies",
                &config.proxy_tls_listen,
                &mut bound.proxy_tls,
            ),
        ] {
            for listen in addresses {
                listeners.push(Listener::bind_family(protocol, *listen)?);
            }
        }
        Ok(bound)
    }
}

/// Addresses that were taken, and serve nothing yet.
pub struct HttpListeners {
    config: HttpConfig,
    plain: Vec<Listener>,
    tls: Vec<Listener>,
    proxy: Vec<Listener>,
    proxy_tls: Vec<Listener>,
    certificate: Option<ServerCertificate>,
    is_trusted: Trust,
    charge: Option<Charge>,
}

impl fmt::Debug for HttpListeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HttpListeners").field(&self.config).finish()
    }
}

impl HttpListeners {
    /// The address of plain HTTP, with the port that was taken.
    pub fn local_addr(&self) -> SocketAddr {
        self.plain[0].local_addr()
    }

    /// Shows `certificate` where HTTPS listens, which it cannot without.
    pub fn with_certificate(mut self, certificate: Option<ServerCertificate>) -> Self {
        self.certificate = certificate;
        self
    }

    /// Trusts proxies: they may have any number of connections and bytes, and those of listeners for
    /// proxies are believed who the client is. By default nobody is trusted.
    pub fn with_trust(mut self, is_trusted: Trust) -> Self {
        self.is_trusted = is_trusted;
        self
    }

    /// Charges clients for the bytes of all their connections. By default only each connection
    /// has a bound.
    pub fn with_charge(mut self, charge: Charge) -> Self {
        self.charge = Some(charge);
        self
    }

    /// Serves `routes` until [`Server::shutdown`], as the listener of this name.
    ///
    /// # Panics
    ///
    /// Panics where HTTPS listens without a certificate, which [`HttpConfig::check_listeners`] refuses.
    pub fn serve(self, routes: impl Into<Routes>, name: Name, metrics: &ListenerMetrics) -> Server {
        let tls = self
            .certificate
            .map(|certificate| TlsAcceptor::from(certificate.server_config(&TLS_PROTOCOLS)));
        let is_plain = self.tls.is_empty() && self.proxy_tls.is_empty();
        assert!(is_plain || tls.is_some(), "HTTPS needs a certificate");
        let limits = Limits {
            connection_count_max: self.config.connection_count_max,
            connection_count_per_client_max: Some(self.config.connection_count_per_client_max),
            drain_timeout: self.config.drain_timeout,
        };
        let is_trusted = self.is_trusted.clone();
        let connections = Connections::with_exempt(limits, move |client| is_trusted(client));
        let service = Service::new(self.config, routes.into(), self.is_trusted, self.charge);
        let service = Arc::new(service);
        let serve_all = |listeners: Vec<Listener>, tls: Option<TlsAcceptor>, is_proxied| {
            let protocol = Arc::new(HttpProtocol {
                service: service.clone(),
                tls,
                is_proxied,
            });
            let serve =
                |listener: Listener| listener.serve(protocol.clone(), &connections, name, metrics);
            listeners.into_iter().map(serve).collect()
        };
        Server {
            plain: serve_all(self.plain, None, false),
            tls: serve_all(self.tls, tls.clone(), false),
            proxy: serve_all(self.proxy, None, true),
            proxy_tls: serve_all(self.proxy_tls, tls, true),
        }
    }
}

/// A running server. Dropping it shuts it down too, unawaited.
#[derive(Debug)]
pub struct Server {
    plain: Vec<crate::listener::ListenerServer>,
    tls: Vec<crate::listener::ListenerServer>,
    proxy: Vec<crate::listener::ListenerServer>,
    proxy_tls: Vec<crate::listener::ListenerServer>,
}

impl Server {
    /// Where it serves plain HTTP.
    pub fn local_addr(&self) -> SocketAddr {
        self.plain[0].local_addr()
    }

    pub fn tls_addrs(&self) -> Vec<SocketAddr> {
        addresses(&self.tls)
    }

    /// Where it serves plain HTTP and HTTPS for proxies that name the client.
    pub fn proxy_addrs(&self) -> [Vec<SocketAddr>; 2] {
        [addresses(&self.proxy), addresses(&self.proxy_tls)]
    }

    /// Frees the addresses and lets each connection end; at the drain limit cuts off all that are
    /// left.
    pub async fn shutdown(self) {
        let all = [self.plain, self.tls, self.proxy, self.proxy_tls];
        let all = all.into_iter().flatten();
        join_all(all.map(crate::listener::ListenerServer::shutdown)).await;
    }
}

fn addresses(servers: &[crate::listener::ListenerServer]) -> Vec<SocketAddr> {
    let addresses = servers
        .iter()
        .map(crate::listener::ListenerServer::local_addr);
    addresses.collect()
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
