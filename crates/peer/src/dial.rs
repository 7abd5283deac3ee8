//! Opening a link: address, TCP, TLS, greeting.

use std::{io, net::SocketAddr, sync::Arc};

use futures_util::{SinkExt, StreamExt};
use quorate_packet::PublicKey;
use quorate_rpc::{Introduction, Lane, LogState, NodeId, message::WIRE_VERSIONS};
use quorate_tls::{Identity, KeyRejection};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};
use tokio_rustls::TlsConnector;

use crate::{
    Metrics, TransportConfig,
    addresses::Addresses,
    frame::FrameError,
    greeting::{FrameReader, FrameWriter, Greeting, Hello, greeting_frames},
    metrics::DialFailure,
    socket,
};

/// Both halves of a connection on which greetings were exchanged, and what the peer said of its log.
pub(crate) type Greeted = (FrameReader<Greeting>, FrameWriter<Hello>, LogState);

/// Opens connections to peers.
#[derive(Debug)]
pub(crate) struct Dialer {
    identity: Identity,
    config: TransportConfig,
    pub(crate) metrics: Metrics,
    addresses: Addresses,
}

impl Dialer {
    pub(crate) fn new(identity: Identity, config: TransportConfig, metrics: Metrics) -> Self {
        Self {
            identity,
            config,
            metrics,
            addresses: Addresses::of_system(),
        }
    }

    /// The same with another resolver.
    #[cfg(test)]
    pub(crate) fn with_addresses(self, addresses: Addresses) -> Self {
        Self { addresses, ..self }
    }

    /// Opens a connection to `peer` at `address` and is welcomed there. After a failure the name is
    /// looked up again, for the next dial: another host may have it now.
    pub(crate) async fn dial(
        &self,
        peer: NodeId,
        address: &str,
        lane: Lane,
        introduction: Introduction,
    ) -> Result<Greeted, DialError> {
        let hello = Hello::new(introduction, lane);
        let greeted = self.connect_and_greet(peer, address, hello).await;
        if greeted.is_err() {
            self.addresses.look_up(address);
        }
        greeted
    }

    async fn connect_and_greet(
        &self,
        peer: NodeId,
        address: &str,
        hello: Hello,
    ) -> Result<Greeted, DialError> {
        let stream = self.connect(address).await?;
        let handshake = self.handshake(stream, peer, hello);
        timeout(self.config.handshake_timeout, handshake)
            .await
            .map_err(|_| DialError::TimedOut)?
    }

    /// Tries each address of the name in turn until the time is up. The time that is left is
    /// shared among the addresses that are left, so that a silent one does not hide the others.
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

    async fn handshake(
        &self,
        stream: TcpStream,
        peer: NodeId,
        hello: Hello,
    ) -> Result<Greeted, DialError> {
        let config = quorate_tls::client_config(&self.identity, peer.0);
        let stream = TlsConnector::from(config)
            .connect(quorate_tls::server_name(), stream)
            .await
            .map_err(DialError::tls)?;
        let (mut reader, mut writer) = greeting_frames(stream);
        let sent = writer.send(hello).await;
        // Even if the hello could not be sent: the peer may have said before why it went.
        match reader.next().await {
            Some(Ok(Greeting::Welcome { version, log })) if WIRE_VERSIONS.contains(&version) => {
                Ok((reader, writer, log))
            }
            Some(Ok(Greeting::Welcome { version, .. })) => Err(DialError::WireVersion(version)),
            Some(Ok(Greeting::Refused(reason))) => Err(DialError::Refused(reason)),
            Some(Err(FrameError::Io(error))) => Err(DialError::tls(error)),
            Some(Err(error)) => Err(DialError::Greeting(error)),
            None => match sent {
                Err(FrameError::Io(error)) => Err(DialError::tls(error)),
                _ => Err(DialError::Closed),
            },
        }
    }
}

/// Why a dial gave no link. Peer and address are named by who dialed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error("its name cannot be resolved")]
    Resolve(#[source] Arc<io::Error>),
    #[error("its name was not resolved in time")]
    Unresolved,
    #[error("its name has no address")]
    NoAddress,
    #[error("it cannot be reached")]
    Connect(#[source] io::Error),
    #[error("it cannot be reached: no answer in time")]
    Silent,
    #[error("another node is there: {0}")]
    OtherNode(PublicKey),
    #[error(
        "it does not know this node's key: add this node to the cluster, or to the \
         configuration there"
    )]
    NotAdmitted,
    #[error("TLS failed")]
    Tls(#[source] io::Error),
    #[error("it closed the connection during the handshake")]
    Closed,
    #[error("it answered with no greeting")]
    Greeting(#[source] FrameError),
    #[error("it wants to speak wire version {0}, which this node does not")]
    WireVersion(u16),
    #[error("it refused the link: {0}")]
    Refused(String),
    #[error("it connected and then did not answer in time")]
    TimedOut,
}

impl DialError {
    fn tls(error: io::Error) -> Self {
        match KeyRejection::of(&error) {
            Some(KeyRejection::Theirs(key)) => Self::OtherNode(key),
            Some(KeyRejection::Ours) => Self::NotAdmitted,
            None if error.kind() == io::ErrorKind::UnexpectedEof => Self::Closed,
            None => Self::Tls(error),
        }
    }

    pub(crate) fn reason(&self) -> DialFailure {
        match self {
            Self::Resolve(_)
            | Self::Unresolved
            | Self::NoAddress
            | Self::Connect(_)
            | Self::Silent => DialFailure::Connect,
            Self::OtherNode(_)
            | Self::Tls(_)
            | Self::Closed
            | Self::Greeting(_)
            | Self::WireVersion(_) => DialFailure::Tls,
            Self::NotAdmitted => DialFailure::NotAdmitted,
            Self::Refused(_) => DialFailure::Refused,
            Self::TimedOut => DialFailure::TimedOut,
        }
    }
}
