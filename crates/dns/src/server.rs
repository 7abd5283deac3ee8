//! The UDP and TCP listeners.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use quorate_listener::{BindError, Limits, Listener, Name};
use tokio::{net::UdpSocket, task::JoinSet};

use crate::{Config, Responder, tcp::TcpProtocol, udp};

/// How often a free port is looked for that is free for both UDP and TCP.
const FREE_PORT_TRIES_MAX: usize = 16;

/// How long a shutdown waits for responses that are under way. They are ready, so that only the
/// client can be slow.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

impl Config {
    /// Takes the address. Queries wait from now on until [`serve`](DnsListeners::serve).
    pub async fn bind(self) -> Result<DnsListeners, BindError> {
        let mut tries = FREE_PORT_TRIES_MAX;
        let (tcp, udp) = loop {
            tries -= 1;
            match bind_both(self.listen).await {
                Err(error)
                    if self.listen.port() == 0
                        && error.source.kind() == io::ErrorKind::AddrInUse
                        && tries > 0 => {}
                result => break result?,
            }
        };
        Ok(DnsListeners {
            config: self,
            udp,
            tcp,
        })
    }
}

async fn bind_both(listen: SocketAddr) -> Result<(Listener, UdpSocket), BindError> {
    let tcp = Listener::bind("DNS over TCP", listen).await?;
    let udp = UdpSocket::bind(tcp.local_addr()).await;
    let udp = udp.map_err(|source| BindError {
        protocol: "DNS over UDP",
        listen,
        source,
    })?;
    Ok((tcp, udp))
}

/// Listeners that answer nothing yet.
#[derive(Debug)]
pub struct DnsListeners {
    config: Config,
    udp: UdpSocket,
    tcp: Listener,
}

impl DnsListeners {
    /// The address of both listeners, with the port that was taken.
    pub fn local_addr(&self) -> SocketAddr {
        self.tcp.local_addr()
    }

    /// Answers with `responder` until [`DnsServer::shutdown`]. `connections` counts those over TCP.
    pub fn serve(
        self,
        responder: Arc<Responder>,
        connections: &quorate_listener::Metrics,
    ) -> DnsServer {
        let socket = Arc::new(self.udp);
        let mut udp_loops = JoinSet::new();
        for _ in 0..self.config.udp_loop_count.max(1) {
            udp_loops.spawn(udp::run(socket.clone(), responder.clone()));
        }
        let limits = Limits {
            connection_count_max: self.config.tcp_connection_count_max,
            drain_timeout: DRAIN_TIMEOUT,
        };
        let protocol = TcpProtocol {
            config: self.config,
            responder,
        };
        DnsServer {
            udp_loops,
            tcp: self.tcp.serve(protocol, limits, Name::Dns, connections),
        }
    }
}

/// A running server. Dropping it shuts it down too, unawaited.
#[derive(Debug)]
pub struct DnsServer {
    udp_loops: JoinSet<()>,
    tcp: quorate_listener::Server,
}

impl DnsServer {
    /// The address it listens at, for both UDP and TCP.
    pub fn local_addr(&self) -> SocketAddr {
        self.tcp.local_addr()
    }

    /// Frees the address, and closes each connection after the responses that are under way.
    pub async fn shutdown(mut self) {
        self.udp_loops.shutdown().await;
        self.tcp.shutdown().await;
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
