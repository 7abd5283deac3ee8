//! A connection that came in: from its first byte to its last.

use std::{
    error::Error,
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{FutureExt, SinkExt, StreamExt, future, stream::BoxStream};
use quorate_packet::PublicKey;
use quorate_rpc::{
    Lane, NodeId, Service,
    message::{Request, Response},
};
use quorate_tls::KeyRefusal;
use tokio::{
    io::{ReadHalf, WriteHalf},
    net::TcpStream,
    sync::watch,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::codec::{FramedRead, FramedWrite};

use crate::{
    ClusterId, FRAME_SIZE_MAX, Metrics,
    frame::{FrameDecoder, FrameEncoder, FrameError, is_end},
    greeting::{GREETING_SIZE_MAX, Greeting, Hello, Refusal},
    log_budget::LogBudget,
    metrics::{End, Handshake, OpenLink},
    server::stop_asked,
    slots::{Slot, Slots},
    socket,
};

/// How many responses are written before they are sent: as many as are ready, but few enough to
/// take little memory while the peer takes its time.
const READY_COUNT_MAX: usize = 64;

type RequestReader = FramedRead<ReadHalf<TlsStream<TcpStream>>, FrameDecoder<Request>>;
type ResponseWriter = FramedWrite<WriteHalf<TlsStream<TcpStream>>, FrameEncoder<Response>>;

/// Turns connections into links.
pub(crate) struct Reception {
    pub(crate) tls: TlsAcceptor,
    pub(crate) cluster: ClusterId,
    pub(crate) handshake_timeout: Duration,
    pub(crate) write_timeout: Duration,
    pub(crate) slots: Arc<Slots>,
    pub(crate) service: Arc<dyn Service>,
    pub(crate) metrics: Metrics,
    pub(crate) log: LogBudget,
}

impl Reception {
    /// Finds out who connected and what it wants. Returns `None` when it was turned away.
    pub(crate) async fn receive(&self, stream: TcpStream, address: SocketAddr) -> Option<Incoming> {
        let received = timeout(self.handshake_timeout, self.handshake(stream, address)).await;
        match received.unwrap_or(Err(HandshakeError::TimedOut)) {
            Ok(incoming) => {
                self.metrics.count_handshake(Handshake::Welcomed);
                Some(incoming)
            }
            Err(error) => {
                self.metrics.count_handshake(error.outcome());
                self.log_refused(address, &error);
                None
            }
        }
    }

    async fn handshake(
        &self,
        stream: TcpStream,
        address: SocketAddr,
    ) -> Result<Incoming, HandshakeError> {
        socket::prepare(&stream).map_err(HandshakeError::tls)?;
        let stream = self.tls.accept(stream).await.map_err(HandshakeError::tls)?;
        let peer = quorate_tls::peer_key(stream.get_ref().1).ok_or(HandshakeError::Protocol)?;
        let peer = NodeId(peer);
        let (reader, writer) = tokio::io::split(stream);
        let mut reader = FramedRead::new(reader, FrameDecoder::new(GREETING_SIZE_MAX, None));
        let mut writer = FramedWrite::new(writer, FrameEncoder::new(GREETING_SIZE_MAX, None));
        let hello: Hello = match reader.next().await {
            Some(Ok(hello)) => hello,
            Some(Err(error)) => return Err(HandshakeError::Hello(peer, error)),
            None => return Err(HandshakeError::Closed),
        };
        let admitted = hello.check(self.cluster).and_then(|lane| {
            let slot = self.slots.take(peer).ok_or(Refusal::LinkCount)?;
            Ok((lane, slot))
        });
        let greeting = match &admitted {
            Ok(_) => Greeting::Welcome,
            Err(refusal) => Greeting::Refused(refusal.to_string()),
        };
        let greeted = writer.send(greeting).await;
        let (lane, slot) = match admitted {
            Ok(admitted) => admitted,
            Err(refusal) => {
                // The refusal counts, whether the peer heard it or not.
                let _ = writer.close().await;
                return Err(HandshakeError::Refused(peer, refusal));
            }
        };
        greeted.map_err(|error| HandshakeError::Hello(peer, error))?;
        let read = self.metrics.read(lane);
        let written = self.metrics.written(lane);
        Ok(Incoming {
            origin: Origin {
                peer,
                address,
                lane,
            },
            reader: reader.map_decoder(|_| FrameDecoder::new(FRAME_SIZE_MAX, Some(read))),
            writer: writer.map_encoder(|_| FrameEncoder::new(FRAME_SIZE_MAX, Some(written))),
            _slot: slot,
            _open: self.metrics.open_link(End::Accepted, lane),
        })
    }

    fn log_refused(&self, address: SocketAddr, error: &HandshakeError) {
        // Health checks connect and go.
        if matches!(error, HandshakeError::Closed) {
            tracing::debug!(%address, "a connection was closed before it was a link");
            return;
        }
        if let Some(unlogged) = self.log.take(Instant::now()) {
            let source = error.source().map(tracing::field::display);
            tracing::warn!(%address, reason = %error, source, unlogged, "turned a connection away");
        }
    }

    /// A peer that went away is nothing to warn of; one that speaks garbage is.
    fn log_broken(&self, origin: Origin, error: &FrameError) {
        let Origin {
            peer,
            address,
            lane,
        } = origin;
        if error.is_end() {
            tracing::debug!(%peer, %address, ?lane, "a peer closed a link");
            return;
        }
        if let Some(unlogged) = self.log.take(Instant::now()) {
            let source = error.source().map(tracing::field::display);
            tracing::warn!(
                %peer, %address, ?lane, reason = %error, source, unlogged, "closing a broken link"
            );
        }
    }
}

/// A link that a peer opened.
pub(crate) struct Incoming {
    origin: Origin,
    reader: RequestReader,
    writer: ResponseWriter,
    _slot: Slot,
    _open: OpenLink,
}

/// Where a link comes from.
#[derive(Debug, Clone, Copy)]
struct Origin {
    peer: NodeId,
    address: SocketAddr,
    lane: Lane,
}

impl Incoming {
    /// Serves the link until the peer or the service ends it. Once a stop is asked no more requests
    /// are read, and those that were are answered.
    pub(crate) async fn serve(self, reception: Arc<Reception>, stopped: watch::Receiver<bool>) {
        let Self {
            origin,
            reader,
            mut writer,
            ..
        } = self;
        let Origin {
            peer,
            address,
            lane,
        } = origin;
        tracing::debug!(%peer, %address, ?lane, "a peer opened a link");
        let requests = requests(reader, origin, reception.clone(), stopped);
        let responses = reception.service.clone().serve(peer, lane, requests);
        let mut responses = responses.ready_chunks(READY_COUNT_MAX);
        while let Some(ready) = responses.next().await {
            let written = timeout(reception.write_timeout, write(&mut writer, ready)).await;
            let error = match written {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => error,
                Err(_) => FrameError::Io(io::ErrorKind::TimedOut.into()),
            };
            reception.log_broken(origin, &error);
            return;
        }
        tracing::debug!(%peer, %address, ?lane, "a link of a peer ended");
        // Whether the peer hears the end or finds it, the link is over.
        let _ = timeout(reception.write_timeout, writer.close()).await;
    }
}

/// The requests on a link, until it ends, breaks, or a stop is asked.
fn requests(
    reader: RequestReader,
    origin: Origin,
    reception: Arc<Reception>,
    mut stopped: watch::Receiver<bool>,
) -> BoxStream<'static, Request> {
    reader
        .scan((), move |(), request| {
            let request = request.inspect_err(|error| reception.log_broken(origin, error));
            future::ready(request.ok())
        })
        .take_until(async move { stop_asked(&mut stopped).await }.boxed())
        .boxed()
}

/// Writes what is ready and sends it.
async fn write(writer: &mut ResponseWriter, ready: Vec<Response>) -> Result<(), FrameError> {
    for response in ready {
        writer.feed(response).await?;
    }
    writer.flush().await
}

/// Why a connection became no link.
#[derive(Debug, thiserror::Error)]
enum HandshakeError {
    #[error("it was not done in time")]
    TimedOut,
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
    Refused(NodeId, Refusal),
}

impl HandshakeError {
    fn tls(error: io::Error) -> Self {
        match KeyRefusal::of(&error) {
            Some(KeyRefusal::Theirs(key)) => Self::UnknownKey(key),
            Some(KeyRefusal::Ours) => Self::NotExpected,
            None if is_end(&error) => Self::Closed,
            None => Self::Tls(error),
        }
    }

    fn outcome(&self) -> Handshake {
        match self {
            Self::TimedOut => Handshake::TimedOut,
            Self::Closed => Handshake::Closed,
            Self::UnknownKey(_) => Handshake::UnknownKey,
            Self::NotExpected | Self::Tls(_) | Self::Protocol => Handshake::Tls,
            Self::Hello(..) | Self::Refused(_, Refusal::Magic | Refusal::Lane(_)) => {
                Handshake::Greeting
            }
            Self::Refused(_, Refusal::WireVersion(_)) => Handshake::WireVersion,
            Self::Refused(_, Refusal::Cluster) => Handshake::Cluster,
            Self::Refused(_, Refusal::LinkCount) => Handshake::LinkCount,
        }
    }
}
