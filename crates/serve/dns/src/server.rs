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
        BindError, ConnectionLimits, Connections, IsExempt, Listener, ListenerMetrics,
        ListenerName, ListenerServer,
    },
};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

use crate::{
    DnsConfig, Responder,
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
        let mut bound = DnsListeners {
            udp: Vec::new(),
            tcp: Vec::new(),
            tls: Vec::new(),
            quic: Vec::new(),
            config: self,
        };
        let config = &bound.config;
        for listen in config.listen.iter() {
            match bind_both(*listen, config.udp_threads()) {
                Ok((tcp, udp)) => {
                    bound.tcp.push(tcp);
                    bound.udp.extend(udp);
                }
                Err(error) if error.is_left_out(&config.listen) => {}
                Err(error) => return Err(error),
            }
        }
        bound.tls = Listener::bind_all("DNS over TLS", &config.tls_listen)?;
        for listen in config.quic_listen.iter() {
            match bind_udp("DNS over QUIC", *listen, 1) {
                Ok(sockets) => bound.quic.extend(sockets),
                Err(error) if error.is_left_out(&config.quic_listen) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(bound)
    }
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
    /// date. Encrypted listeners use
    /// `certificate`, and fail without one. Clients that `is_exempt` may have any number of
    /// connections. `metrics` counts the connections.
    pub fn serve(
        self,
        responder: Arc<Responder>,
        certificate: Option<&ServerCertificate>,
        is_exempt: &IsExempt,
        metrics: &ListenerMetrics,
    ) -> io::Result<DnsServer> {
        let connections = || {
            let limits = ConnectionLimits {
                connection_count_max: self.config.tcp_connection_count_max,
                connection_count_per_client_max: Some(
                    self.config.tcp_connection_count_per_client_max,
                ),
                drain_timeout: DRAIN_TIMEOUT,
            };
            Connections::with_exempt(limits, is_exempt.clone())
        };
        let serve_all = |listeners: Vec<Listener>, tls: Option<TlsAcceptor>, name| {
            let protocol = Arc::new(TcpProtocol {
                config: self.config.clone(),
                responder: responder.clone(),
                tls,
            });
            let connections = connections();
            let serve =
                |listener: Listener| listener.serve(protocol.clone(), &connections, name, metrics);
            listeners.into_iter().map(serve).collect()
        };
        let zones = tokio::spawn(responder.clone().follow_zones());
        let mut server = DnsServer {
            _zones: AbortOnDropHandle::new(zones),
            udp: UdpThreads::spawn(self.udp, &responder)?,
            tcp: serve_all(self.tcp, None, ListenerName::Dns),
            tls: Vec::new(),
            quic: Vec::new(),
        };
        if self.tls.is_empty() && self.quic.is_empty() {
            return Ok(server);
        }
        let no_certificate = || io::Error::other("encrypted listeners need a certificate");
        let certificate = certificate.ok_or_else(no_certificate)?;
        let tls = TlsAcceptor::from(certificate.server_config(&[TLS_PROTOCOL]));
        server.tls = serve_all(self.tls, Some(tls), ListenerName::DnsTls);
        let quic_connections = connections();
        for socket in self.quic {
            let protocol = QuicProtocol {
                config: self.config.clone(),
                responder: responder.clone(),
            };
            let quic = quic::serve(socket, protocol, certificate, &quic_connections, metrics)?;
            server.quic.push(quic);
        }
        Ok(server)
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

    /// Closes the listeners, and each connection after the responses in progress.
    pub async fn shutdown(self) {
        let others = self.tcp.into_iter().chain(self.tls).chain(self.quic);
        let others = join_all(others.map(ListenerServer::shutdown));
        tokio::join!(self.udp.shutdown(), others);
    }
}

fn addresses(servers: &[ListenerServer]) -> Vec<SocketAddr> {
    servers.iter().map(ListenerServer::local_addr).collect()
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
