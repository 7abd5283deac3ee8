//! Opening a link: a connection, and the greeting.

use crate::Identity;
use crate::{Introduction, Lane, LogState, NodeId, message::WIRE_VERSIONS};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::{
    PeerMetrics, TransportConfig,
    connector::Connector,
    dial_error::DialError,
    frame::FrameError,
    greeting::{FrameReader, FrameWriter, Greeting, Hello, greeting_frames},
};

/// Both halves of a connection on which greetings were exchanged, and what the peer said of its log.
pub(crate) type Greeted = (FrameReader<Greeting>, FrameWriter<Hello>, LogState);

#[derive(Debug)]
pub(crate) struct Dialer {
    connector: Connector,
    pub(crate) metrics: PeerMetrics,
}

impl Dialer {
    pub(crate) fn new(identity: Identity, config: TransportConfig, metrics: PeerMetrics) -> Self {
        Self::of(Connector::new(identity, config), metrics)
    }

    pub(crate) fn of(connector: Connector, metrics: PeerMetrics) -> Self {
        Self { connector, metrics }
    }

    /// Opens a connection to `peer` at `address` and is welcomed there.
    pub(crate) async fn dial(
        &self,
        peer: NodeId,
        address: &str,
        lane: Lane,
        introduction: Introduction,
    ) -> Result<Greeted, DialError> {
        let hello = Hello::new(introduction, lane);
        let greet = |stream| greet(stream, hello);
        self.connector.reach(peer, address, greet).await
    }
}

async fn greet(stream: TlsStream<TcpStream>, hello: Hello) -> Result<Greeted, DialError> {
    let (mut reader, mut writer) = greeting_frames::<Greeting, Hello>(stream);
    let sent = writer.send(hello).await;
    // Even if the hello could not be sent: the peer may have said before why it went.
    match reader.next().await {
        Some(Ok(Greeting::Welcome { version, log })) if WIRE_VERSIONS.contains(&version) => {
            Ok((reader, writer, log))
        }
        Some(Ok(Greeting::Welcome { version, .. })) => Err(DialError::WireVersion(version)),
        Some(Ok(Greeting::Refused(reason))) => Err(DialError::Refused(reason)),
        Some(Ok(Greeting::Forgotten)) => Err(DialError::Forgotten),
        Some(Ok(Greeting::Join(_))) => Err(DialError::Unasked),
        Some(Err(FrameError::Io(error))) => Err(DialError::tls(error)),
        Some(Err(error)) => Err(DialError::Greeting(error)),
        None => match sent {
            Err(FrameError::Io(error)) => Err(DialError::tls(error)),
            // It took its leave in TLS, without a word: so strangers are turned away while joiners
            // are expected.
            _ => Err(DialError::NotAdmitted),
        },
    }
}
