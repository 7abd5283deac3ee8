//! The listeners for UDP, TCP, TLS and QUIC.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};

use futures_util::future::join_all;
use quorate_http::{
    ServerCertificate,
    listener::{
        BindError, ConnectionLimits, Connections, ListenAddresses, Listener, ListenerMetrics,
        ListenerName, ListenerServer,
    },
};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

use crate::{
    ConnectionRules, DnsConfig, Responder,
    quic::{self, QuicProtocol},
    tcp::TcpProtocol,
    udp::{self, UdpThreads},
};

/// How often `bind` tries to find a port that is free for both UDP and TCP.
const FREE_PORT_TRIES_MAX: usize = 16;

/// How long a shutdown waits until responses are sent. They are ready; only clients can be slow.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// The name of DNS over TLS in handshakes (RFC 7858, section 3.1).
const TLS_PROTOCOL: &[u8] = b"dot";

impl DnsConfig {
    /// Binds the addresses. Queries then wait until [`serve`](DnsListeners::serve).
    pub async fn bind(self) -> Result<DnsListeners, BindError> {
        let threads = self.udp_threads();
        let (tcp, udp) = bind_all_both(&self.listen, threads)?;
        let (proxy_tcp, proxy_udp) = bind_all_both(&self.proxy_listen, threads)?;
        let mut quic = Vec::new();
        for listen in self.quic_listen.iter() {
            match bind_udp("DNS over QUIC", *listen, 1) {
                Ok(sockets) => quic.extend(sockets),
                Err(error) if error.is_left_out(&self.quic_listen) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(DnsListeners {
            tls: Listener::bind_all("DNS over TLS", &self.tls_listen)?,
            proxy_tls: Listener::bind_all("DNS over TLS behind proxies", &self.proxy_tls_listen)?,
            config: self,
            udp,
            tcp,
            quic,
            proxy_udp,
            proxy_tcp,
        })
    }
}

/// Binds all of `addresses` for TCP and UDP, with `socket_count` sockets of UDP each.
fn bind_all_both(
    addresses: &ListenAddresses,
    socket_count: usize,
) -> Result<(Vec<Listener>, Vec<UdpSocket>), BindError> {
    let (mut listeners, mut sockets) = (Vec::new(), Vec::new());
    for listen in addresses.iter() {
        match bind_both(*listen, socket_count) {
            Ok((tcp, udp)) => {
                listeners.push(tcp);
                sockets.extend(udp);
            }
            Err(error) if error.is_left_out(addresses) => {}
            Err(error) => return Err(error),
        }
    }
    Ok((listeners, sockets))
}

/// Binds an address for TCP and UDP. For port 0, both get the same port.
fn bind_both(
    listen: SocketAddr,
    socket_count: usize,
) -> Result<(Listener, Vec<UdpSocket>), BindError> {
    let mut tries = FREE_PORT_TRIES_MAX;
    loop {
        tries -= 1;
        let tcp = Listener::bind("DNS over TCP", listen)?;
        match bind_udp("DNS over UDP", tcp.local_addr(), socket_count) {
            Ok(udp) => return Ok((tcp, udp)),
            Err(error)
                if listen.port() == 0
                    && error.source.kind() == io::ErrorKind::AddrInUse
                    && tries > 0 => {}
            Err(error) => return Err(error),
        }
    }
}

fn bind_udp(
    protocol: &'static str,
    listen: SocketAddr,
    socket_count: usize,
) -> Result<Vec<UdpSocket>, BindError> {
    udp::bind(listen, socket_count).map_err(|source| BindError {
        protocol,
        listen,
        source,
    })
}

/// Bound listeners that do not answer yet.
#[derive(Debug)]
pub struct DnsListeners {
    config: DnsConfig,
    /// One for each thread, at each address.
    udp: Vec<UdpSocket>,
    tcp: Vec<Listener>,
    tls: Vec<Listener>,
    quic: Vec<UdpSocket>,
    proxy_udp: Vec<UdpSocket>,
    proxy_tcp: Vec<Listener>,
    proxy_tls: Vec<Listener>,
}

impl DnsListeners {
    /// The first address for UDP and TCP, with the actual port.
    ///
    /// # Panics
    ///
    /// Panics if there is none; [`DnsConfig::check_listeners`] rejects such a configuration.
    pub fn local_addr(&self) -> SocketAddr {
        self.tcp[0].local_addr()
    }

    /// Answers with `responder` until [`DnsServer::shutdown`], and until then keeps its zones up to
    /// date. Encrypted listeners use `certificate`, and fail without one. `metrics` counts the
    /// connections.
    pub fn serve(
        self,
        responder: Arc<Responder>,
        certificate: Option<&ServerCertificate>,
        rules: &ConnectionRules,
        metrics: &ListenerMetrics,
    ) -> io::Result<DnsServer> {
        let is_encrypted =
            !(self.tls.is_empty() && self.quic.is_empty() && self.proxy_tls.is_empty());
        if is_encrypted && certificate.is_none() {
            return Err(io::Error::other("encrypted listeners need a certificate"));
        }
        let tls = certificate
            .map(|certificate| TlsAcceptor::from(certificate.server_config(&[TLS_PROTOCOL])));
        let connections = || Connections::with_exempt(self.config.limits(), rules.is_exempt());
        let serve_all = |direct, proxied, tls: Option<&TlsAcceptor>, name| {
            let connections = connections();
            let serve = |(listeners, is_proxied): (Vec<Listener>, bool)| {
                let protocol = Arc::new(TcpProtocol {
                    config: self.config.clone(),
                    responder: responder.clone(),
                    rules: rules.clone(),
                    tls: tls.cloned(),
                    is_proxied,
                });
                let serve = |listener: Listener| {
                    listener.serve(protocol.clone(), &connections, name, metrics)
                };
                listeners.into_iter().map(serve).collect()
            };
            [(direct, false), (proxied, true)].map(serve)
        };
        let [tcp, proxy_tcp] = serve_all(self.tcp, self.proxy_tcp, None, ListenerName::Dns);
        let [tls, proxy_tls] =
            serve_all(self.tls, self.proxy_tls, tls.as_ref(), ListenerName::DnsTls);
        let quic_connections = connections();
        let serve_quic = |socket| {
            let protocol = QuicProtocol {
                config: self.config.clone(),
                responder: responder.clone(),
                rules: rules.clone(),
            };
            let certificate = certificate.expect("checked above");
            quic::serve(socket, protocol, certificate, &quic_connections, metrics)
        };
        let zones = tokio::spawn(responder.clone().follow_zones());
        let proxies = Some(rules.is_trusted.clone());
        Ok(DnsServer {
            _zones: AbortOnDropHandle::new(zones),
            udp: UdpThreads::spawn(self.udp, &responder, None)?,
            proxy_udp: UdpThreads::spawn(self.proxy_udp, &responder, proxies)?,
            quic: self
                .quic
                .into_iter()
                .map(serve_quic)
                .collect::<io::Result<_>>()?,
            tcp,
            tls,
            proxy_tcp,
            proxy_tls,
        })
    }
}

impl DnsConfig {
    fn limits(&self) -> ConnectionLimits {
        ConnectionLimits {
            connection_count_max: self.tcp_connection_count_max,
            connection_count_per_client_max: Some(self.tcp_connection_count_per_client_max),
            drain_timeout: DRAIN_TIMEOUT,
        }
    }
}

/// A running server. Dropping it shuts it down too, without waiting.
#[derive(Debug)]
pub struct DnsServer {
    /// Keeps the zones of the responder up to date.
    _zones: AbortOnDropHandle<()>,
    udp: UdpThreads,
    tcp: Vec<ListenerServer>,
    tls: Vec<ListenerServer>,
    quic: Vec<ListenerServer>,
    proxy_udp: UdpThreads,
    proxy_tcp: Vec<ListenerServer>,
    proxy_tls: Vec<ListenerServer>,
}

impl DnsServer {
    /// The first address at which it answers UDP and TCP.
    pub fn local_addr(&self) -> SocketAddr {
        self.tcp[0].local_addr()
    }

    #[cfg(test)]
    pub(crate) fn local_addrs(&self) -> Vec<SocketAddr> {
        addresses(&self.tcp)
    }

    pub fn tls_addrs(&self) -> Vec<SocketAddr> {
        addresses(&self.tls)
    }

    #[cfg(test)]
    pub(crate) fn quic_addrs(&self) -> Vec<SocketAddr> {
        addresses(&self.quic)
    }

    /// The addresses for proxies, of TCP and UDP, and of TLS.
    #[cfg(test)]
    pub(crate) fn proxy_addrs(&self) -> [Vec<SocketAddr>; 2] {
        [&self.proxy_tcp, &self.proxy_tls].map(|servers| addresses(servers))
    }

    /// Closes the listeners, and each connection after the responses in progress.
    pub async fn shutdown(self) {
        let others = [
            self.tcp,
            self.tls,
            self.quic,
            self.proxy_tcp,
            self.proxy_tls,
        ];
        let others = others.into_iter().flatten().map(ListenerServer::shutdown);
        tokio::join!(
            self.udp.shutdown(),
            self.proxy_udp.shutdown(),
            join_all(others)
        );
    }
}

fn addresses(servers: &[ListenerServer]) -> Vec<SocketAddr> {
    servers.iter().map(ListenerServer::local_addr).collect()
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
