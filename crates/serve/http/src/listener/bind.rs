//! Binds the address of a listener.

use std::{io, net::SocketAddr};

use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket};

/// How many connections may wait to be accepted: two for each of 2,000 endpoints behind one address
/// that restart at the same time. One more is dropped, and the client retries a second later. The
/// system may allow fewer (net.core.somaxconn).
const BACKLOG: u32 = 4096;

/// A bound address. Clients can connect, and wait until [`serve`](Self::serve).
#[derive(Debug)]
pub struct Listener {
    pub(crate) tcp: TcpListener,
    pub(crate) local_addr: SocketAddr,
}

impl Listener {
    /// Binds `listen`. Port 0 uses a free port. `protocol` is the name in the error.
    pub fn bind(protocol: &'static str, listen: SocketAddr) -> Result<Self, BindError> {
        Self::bind_as(protocol, listen, false)
    }

    /// Like [`bind`](Self::bind), but `[::]` only accepts IPv6, whatever the system's default is.
    /// So another listener can bind 0.0.0.0.
    pub fn bind_family(protocol: &'static str, listen: SocketAddr) -> Result<Self, BindError> {
        Self::bind_as(protocol, listen, true)
    }

    fn bind_as(
        protocol: &'static str,
        listen: SocketAddr,
        is_one_family: bool,
    ) -> Result<Self, BindError> {
        let bound = || {
            let socket = match listen {
                SocketAddr::V4(_) => TcpSocket::new_v4()?,
                SocketAddr::V6(_) => TcpSocket::new_v6()?,
            };
            if is_one_family && listen.is_ipv6() {
                SockRef::from(&socket).set_only_v6(true)?;
            }
            socket.set_reuseaddr(true)?;
            socket.bind(listen)?;
            let tcp = socket.listen(BACKLOG)?;
            let local_addr = tcp.local_addr()?;
            Ok(Self { tcp, local_addr })
        };
        bound().map_err(|source| BindError {
            protocol,
            listen,
            source,
        })
    }

    /// The bound address, with its port.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }
}

/// An address could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen for {protocol} at {listen}: free the address or configure another one")]
pub struct BindError {
    /// The protocol of the listener.
    pub protocol: &'static str,
    pub listen: SocketAddr,
    pub source: io::Error,
}
