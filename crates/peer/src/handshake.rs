//! Finding out who connected, and what it wants.

use std::{
    error::Error,
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{SinkExt, StreamExt};
use quorate_metrics::Held;
use quorate_packet::PublicKey;
use quorate_rpc::NodeId;
use quorate_tls::KeyRejection;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsAcceptor;

use crate::{
    ClusterId, FRAME_SIZE_MAX, Metrics,
    accepted::{AcceptedLink, Origin},
    frame::{FrameDecoder, FrameEncoder, FrameError, is_disconnect},
    greeting::{Greeting, Hello, Rejection, greeting_frames},
    handshakes::Handshake,
    link_permits::LinkPermits,
    log_budget::LogBudget,
    metrics::{Direction, HandshakeOutcome},
    socket,
};

/// Turns connections into links.
pub(crate) struct Reception {
    pub(crate) tls: TlsAcceptor,
    pub(crate) cluster: ClusterId,
    pub(crate) handshake_timeout: Duration,
    pub(crate) permits: Arc<LinkPermits>,
    pub(crate) metrics: Metrics,
    pub(crate) log: Arc<LogBudget>,
}

impl Reception {
    /// Returns `None` when the connection was turned away.
    pub(crate) async fn receive(
        &self,
        handshake: Handshake,
        stream: TcpStream,
        address: SocketAddr,
    ) -> Option<AcceptedLink> {
        let greeted = timeout(self.handshake_timeout, self.greet(stream, address));
        let greeted = match handshake.run(greeted).await {
            Some(in_time) => in_time.unwrap_or(Err(HandshakeError::TimedOut)),
            None => Err(HandshakeError::Crowded),
        };
        let outcomes = &self.metrics.handshakes_total;
        match greeted {
            Ok(link) => {
                outcomes.of(HandshakeOutcome::Welcomed).inc();
                Some(link)
            }
            Err(error) => {
                outcomes.of(error.outcome()).inc();
                self.log_turned_away(address, &error);
                None
            }
        }
    }

    async fn greet(
        &self,
        stream: TcpStream,
        address: SocketAddr,
    ) -> Result<AcceptedLink, HandshakeError> {
        socket::prepare(&stream).map_err(HandshakeError::tls)?;
        let stream = self.tls.accept(stream).await.map_err(HandshakeError::tls)?;
        let peer = quorate_tls::peer_key(stream.get_ref().1).ok_or(HandshakeError::Protocol)?;
        let peer = NodeId(peer);
        let (mut reader, mut writer) = greeting_frames::<Hello, Greeting>(stream);
        let hello = match reader.next().await {
            Some(Ok(hello)) => hello,
            Some(Err(error)) => return Err(HandshakeError::Hello(peer, error)),
            None => return Err(HandshakeError::Closed),
        };
        let admitted = hello.check(self.cluster).and_then(|lane| {
            let permit = self.permits.try_acquire(peer);
            Ok((lane, permit.ok_or(Rejection::LinkCount)?))
        });
        let (lane, permit) = match admitted {
            Ok(admitted) => admitted,
            Err(rejection) => {
                // The rejection counts, whether the peer heard it or not.
                let _ = writer.send(Greeting::Refused(rejection.to_string())).await;
                let _ = writer.close().await;
                return Err(HandshakeError::Rejected(peer, rejection));
            }
        };
        let welcomed = writer.send(Greeting::Welcome).await;
        welcomed.map_err(|error| HandshakeError::Hello(peer, error))?;
        let read = self.metrics.read(lane);
        let written = self.metrics.written(lane);
        Ok(AcceptedLink {
            origin: Origin {
                peer,
                address,
                lane,
            },
            reader: reader.map_decoder(|_| FrameDecoder::new(FRAME_SIZE_MAX, Some(read))),
            writer: writer.map_encoder(|_| FrameEncoder::new(FRAME_SIZE_MAX, Some(written))),
            log: self.log.clone(),
            _permit: permit,
            _open: Held::new(self.metrics.links_open.of(Direction::Accepted, lane)),
        })
    }

    fn log_turned_away(&self, address: SocketAddr, error: &HandshakeError) {
        // Health checks connect and go, and the flood that crowds others out is counted.
        if matches!(error, HandshakeError::Closed | HandshakeError::Crowded) {
            tracing::debug!(%address, reason = %error, "a connection ended before it was a link");
            return;
        }
        if let Some(unlogged) = self.log.take(Instant::now()) {
            let source = error.source().map(tracing::field::display);
            tracing::warn!(%address, reason = %error, source, unlogged, "turned a connection away");
        }
    }
}

/// Why a connection became no link.
#[derive(Debug, thiserror::Error)]
enum HandshakeError {
    #[error("it was not done in time")]
    TimedOut,
    #[error("it was the oldest of too many handshakes")]
    Crowded,
    #[error("the other end closed it")]
    Closed,
    #[error("the key {0} is not one of a node known here")]
    UnknownKey(PublicKey),
    #[error("the node there expects another key here")]
    NotExpected,
    #[error("TLS failed")]
    Tls(#[source] io::Error),
    #[error("it does not speak the protocol of nodes")]
    Protocol,
    #[error("peer {0} sent no greeting")]
    Hello(NodeId, #[source] FrameError),
    #[error("peer {0} was told: {1}")]
    Rejected(NodeId, Rejection),
}

impl HandshakeError {
    fn tls(error: io::Error) -> Self {
        match KeyRejection::of(&error) {
            Some(KeyRejection::Theirs(key)) => Self::UnknownKey(key),
            Some(KeyRejection::Ours) => Self::NotExpected,
            None if is_disconnect(&error) => Self::Closed,
            None => Self::Tls(error),
        }
    }

    fn outcome(&self) -> HandshakeOutcome {
        match self {
            Self::TimedOut => HandshakeOutcome::TimedOut,
            Self::Crowded => HandshakeOutcome::Crowded,
            Self::Closed => HandshakeOutcome::Closed,
            Self::UnknownKey(_) => HandshakeOutcome::UnknownKey,
            Self::NotExpected | Self::Tls(_) | Self::Protocol => HandshakeOutcome::Tls,
            Self::Hello(..) | Self::Rejected(_, Rejection::Magic | Rejection::Lane(_)) => {
                HandshakeOutcome::Greeting
            }
            Self::Rejected(_, Rejection::WireVersion(_)) => HandshakeOutcome::WireVersion,
            Self::Rejected(_, Rejection::Cluster) => HandshakeOutcome::Cluster,
            Self::Rejected(_, Rejection::LinkCount) => HandshakeOutcome::LinkCount,
        }
    }
}
