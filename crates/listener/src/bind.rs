//! Taking an address.

use std::{io, net::SocketAddr};

use tokio::net::TcpListener;

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
