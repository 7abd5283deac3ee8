//! Connections to nodes with known keys: address, TCP, TLS.

use std::{io, net::SocketAddr, sync::Arc};

use tokio::{
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    Identity, NodeId, TransportConfig, addresses::Addresses, dial_error::DialError, socket,
};

pub(crate) struct Connector {
    identity: Identity,
    pub(crate) config: TransportConfig,
    addresses: Addresses,
}

impl Connector {
    pub(crate) fn new(identity: Identity, config: TransportConfig) -> Self {
        Self {
            identity,
            config,
            addresses: Addresses::of_system(),
        }
    }

    /// A connector with another resolver.
    #[cfg(test)]
    pub(crate) fn with_addresses(self, addresses: Addresses) -> Self {
        Self { addresses, ..self }
    }

    /// Connects to `peer` at `address` and runs `greet`, within the time for handshakes. After a failure the
    /// name is looked up again for the next dial, because another host may have it now.
    pub(crate) async fn reach<T, F>(
        &self,
        peer: NodeId,
        address: &str,
        greet: impl FnOnce(TlsStream<TcpStream>) -> F,
    ) -> Result<T, DialError>
    where
        F: Future<Output = Result<T, DialError>>,
    {
        let routes = &self.config.routes;
        let address = routes.get(&peer).map_or(address, String::as_str);
        let reached = async {
            let stream = self.connect(address).await?;
            let handshake = async { greet(self.secure(stream, peer).await?).await };
            timeout(self.config.handshake_timeout, handshake)
                .await
                .map_err(|_| DialError::TimedOut)?
        };
        let reached = reached.await;
        if reached.is_err() {
            self.addresses.look_up(address);
        }
        reached
    }

    /// Tries the addresses of the name in turn until the time is up. The remaining time is shared among the
    /// remaining addresses, so that a silent one does not block the others.
    async fn connect(&self, address: &str) -> Result<TcpStream, DialError> {
        let deadline = Instant::now() + self.config.connect_timeout;
        let addresses = timeout_at(deadline, self.resolve(address))
            .await
            .map_err(|_| DialError::Unresolved)?
            .map_err(DialError::Resolve)?;
        let mut failure = DialError::NoAddress;
        for (tried, address) in addresses.iter().enumerate() {
            let left = deadline.saturating_duration_since(Instant::now());
            let shares = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
            failure = match timeout(left / shares, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    socket::prepare(&stream).map_err(DialError::Connect)?;
                    return Ok(stream);
                }
                Ok(Err(error)) => DialError::Connect(error),
                Err(_) => DialError::Silent,
            };
        }
        Err(failure)
    }

    async fn resolve(&self, address: &str) -> Result<Arc<[SocketAddr]>, Arc<io::Error>> {
        match address.parse() {
            Ok(address) => Ok([address].into()),
            Err(_) => self.addresses.of(address).await,
        }
    }

    /// Opens TLS to `peer` and no other key.
    async fn secure(
        &self,
        stream: TcpStream,
        peer: NodeId,
    ) -> Result<TlsStream<TcpStream>, DialError> {
        let config = crate::client_config(&self.identity, peer.0);
        TlsConnector::from(config)
            .connect(crate::server_name(), stream)
            .await
            .map_err(DialError::tls)
    }
}
