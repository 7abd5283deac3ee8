//! Taking an address.

use std::{io, net::SocketAddr};

use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket};

/// How many connections may wait to be accepted: what tokio's own listeners ask for. The system may
/// allow less (net.core.somaxconn).
const BACKLOG: u32 = 1024;

/// An address that was taken. Clients can connect and wait until it serves
/// ([`serve`](Self::serve)).
#[derive(Debug)]
pub struct Listener {
    pub(crate) tcp: TcpListener,
    pub(crate) local_addr: SocketAddr,
}

impl Listener {
    /// Takes `listen`, where port 0 stands for a free one. `protocol` is what the error calls it.
    pub async fn bind(protocol: &'static str, listen: SocketAddr) -> Result<Self, BindError> {
        let fail = |source| BindError {
            protocol,
            listen,
            source,
        };
        let tcp = TcpListener::bind(listen).await.map_err(fail)?;
        let local_addr = tcp.local_addr().map_err(fail)?;
        Ok(Self { tcp, local_addr })
    }

    /// Like [`bind`](Self::bind), but the unspecified address of IPv6 takes IPv6 alone, however the
    /// system is set: that of IPv4 is free for another.
    pub fn bind_family(protocol: &'static str, listen: SocketAddr) -> Result<Self, BindError> {
        let bound = || {
            let socket = match listen {
                SocketAddr::V4(_) => TcpSocket::new_v4()?,
                SocketAddr::V6(_) => {
                    let socket = TcpSocket::new_v6()?;
                    SockRef::from(&socket).set_only_v6(true)?;
                    socket
                }
            };
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
    /// The address.
    pub listen: SocketAddr,
    /// What the system said.
    pub source: io::Error,
}
