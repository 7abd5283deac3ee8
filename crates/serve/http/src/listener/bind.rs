//! Binds the address of a listener.

use std::{io, net::SocketAddr};

use rustix::io::Errno;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket};

use super::ListenAddresses;

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
    /// Binds all of `addresses`. An IPv6 address that is
    /// [optional](ListenAddresses::is_optional) is left out if this machine has no IPv6.
    pub fn bind_all(
        protocol: &'static str,
        addresses: &ListenAddresses,
    ) -> Result<Vec<Self>, BindError> {
        let bound = addresses.iter().filter_map(|listen| {
            let bound = Self::bind(protocol, *listen);
            match bound.as_ref().err() {
                Some(error) if error.is_left_out(addresses) => None,
                _ => Some(bound),
            }
        });
        bound.collect()
    }

    /// Binds `listen`. Port 0 uses a free port, and `[::]` only accepts IPv6, whatever the system's
    /// default is. `protocol` is the name in the error.
    pub fn bind(protocol: &'static str, listen: SocketAddr) -> Result<Self, BindError> {
        let bound = || {
            let socket = match listen {
                SocketAddr::V4(_) => TcpSocket::new_v4()?,
                SocketAddr::V6(_) => TcpSocket::new_v6()?,
            };
            if listen.is_ipv6() {
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

impl BindError {
    /// Whether the server can start without the address: it is optional in `addresses`, and this
    /// machine has no address of its family. Logs that.
    pub fn is_left_out(&self, addresses: &ListenAddresses) -> bool {
        let Self {
            protocol,
            listen,
            source,
        } = self;
        let errno = source.raw_os_error().map(Errno::from_raw_os_error);
        let is_family_missing = matches!(errno, Some(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL));
        let is_left_out = is_family_missing && addresses.is_optional(*listen);
        if is_left_out {
            tracing::warn!(%listen, protocol, "not served over IPv6: this machine has no IPv6 address");
        }
        is_left_out
    }
}
