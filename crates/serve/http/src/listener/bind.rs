//! Taking an address.

use std::{io, net::SocketAddr};

use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket};

/// How many connections may wait to be accepted: two for each of 2,000 endpoints behind one address
/// that restart at the same moment. One more is lost, and comes again a second later. The system may
/// allow less (net.core.somaxconn).
const BACKLOG: u32 = 4096;

/// An address that was taken. Clients can connect and wait until it serves
/// ([`serve`](Self::serve)).
#[derive(Debug)]
pub struct Listener {
    pub(crate) tcp: TcpListener,
    pub(crate) local_addr: SocketAddr,
}

impl Listener {
    /// Takes `listen`, where port 0 stands for a free one. `protocol` is what the error calls it.
    pub fn bind(protocol: &'static str, listen: SocketAddr) -> Result<Self, BindError> {
        Self::bind_as(protocol, listen, false)
    }

    /// Like [`bind`](Self::bind), but the unspecified address of IPv6 takes IPv6 alone, however the
    /// system is set: that of IPv4 is free for another.
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

    /// The address, with the port that was taken.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }
}

/// Why an address could not be taken.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen for {protocol} at {listen}: free the address or configure another one")]
pub struct BindError {
    /// What was to be spoken there.
    pub protocol: &'static str,
    pub listen: SocketAddr,
    pub source: io::Error,
}
