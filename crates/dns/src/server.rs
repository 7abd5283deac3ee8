//! The UDP and TCP listeners.

use std::{io, net::SocketAddr, num::NonZeroUsize, sync::Arc, thread, time::Duration};

use tokio::{
    net::{TcpListener, UdpSocket},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

use crate::{Responder, tcp, udp};

/// How often a free port is looked for that is free for both UDP and TCP.
const FREE_PORT_TRIES_MAX: usize = 16;

/// The most loops by default: one answers some 100,000 datagrams a second.
const UDP_LOOP_COUNT_DEFAULT_MAX: usize = 4;

/// Where to listen, and how long to bear with clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where to listen, for UDP and TCP. Port 0 takes one that is free for both.
    pub listen: SocketAddr,
    /// How many loops receive and answer datagrams, each at most one at a time.
    pub udp_loop_count: usize,
    /// How many TCP connections may be open. Each takes up to some 10 KB, and a file descriptor.
    pub tcp_connection_count_max: usize,
    /// How long a TCP connection may bring no whole query (RFC 7766, section 6.2.3).
    pub tcp_idle_timeout: Duration,
    /// How long a TCP client may take to accept the responses to what it sent at once.
    pub tcp_write_timeout: Duration,
}

impl Config {
    /// The defaults, at this address.
    pub fn new(listen: SocketAddr) -> Self {
        let cpu_count = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self {
            listen,
            udp_loop_count: cpu_count.min(UDP_LOOP_COUNT_DEFAULT_MAX),
            tcp_connection_count_max: 1_000,
            tcp_idle_timeout: Duration::from_secs(10),
            tcp_write_timeout: Duration::from_secs(5),
        }
    }

    /// Takes the address. Queries wait from now on until [`serve`](Bound::serve).
    pub async fn bind(self) -> Result<Bound, BindError> {
        let mut tries = FREE_PORT_TRIES_MAX;
        let (udp, tcp) = loop {
            tries -= 1;
            match bind_both(self.listen).await {
                Err(error)
                    if self.listen.port() == 0
                        && error.source.kind() == io::ErrorKind::AddrInUse
                        && tries > 0 => {}
                result => break result?,
            }
        };
        let local_addr = tcp.local_addr().map_err(|source| BindError {
            listen: self.listen,
            transport: "TCP",
            source,
        })?;
        Ok(Bound {
            config: self,
            udp,
            tcp,
            local_addr,
        })
    }
}

async fn bind_both(listen: SocketAddr) -> Result<(UdpSocket, TcpListener), BindError> {
    let fail = |transport| {
        move |source| BindError {
            listen,
            transport,
            source,
        }
    };
    let tcp = TcpListener::bind(listen).await.map_err(fail("TCP"))?;
    let taken = tcp.local_addr().map_err(fail("TCP"))?;
    let udp = UdpSocket::bind(taken).await.map_err(fail("UDP"))?;
    Ok((udp, tcp))
}

/// Why an address could not be taken.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot listen for DNS over {transport} at {listen}: free the address or configure another"
)]
pub struct BindError {
    /// The address.
    pub listen: SocketAddr,
    /// `UDP` or `TCP`.
    pub transport: &'static str,
    /// What the system said.
    pub source: io::Error,
}

/// Listeners that answer nothing yet.
#[derive(Debug)]
pub struct Bound {
    config: Config,
    udp: UdpSocket,
    tcp: TcpListener,
    local_addr: SocketAddr,
}

impl Bound {
    /// The address of both listeners, with the port that was taken.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Answers with `responder` until [`Server::shutdown`].
    pub fn serve(self, responder: Arc<Responder>) -> Server {
        let (stop, stopped) = watch::channel(false);
        let socket = Arc::new(self.udp);
        let mut udp_loops = JoinSet::new();
        for _ in 0..self.config.udp_loop_count.max(1) {
            udp_loops.spawn(udp::run(socket.clone(), responder.clone()));
        }
        let acceptor = tcp::Acceptor::new(self.config, self.tcp, responder, stopped);
        Server {
            local_addr: self.local_addr,
            stop,
            udp_loops,
            acceptor: tokio::spawn(acceptor.run()),
        }
    }
}

/// A running server. Dropping it shuts it down too, unawaited.
#[derive(Debug)]
pub struct Server {
    local_addr: SocketAddr,
    stop: watch::Sender<bool>,
    udp_loops: JoinSet<()>,
    acceptor: JoinHandle<()>,
}

impl Server {
    /// The address it listens at, for both UDP and TCP.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Frees the address, and closes each connection after the responses that are under way.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        self.udp_loops.shutdown().await;
        if let Err(error) = self.acceptor.await {
            tracing::error!(%error, "the DNS server did not end well");
        }
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
