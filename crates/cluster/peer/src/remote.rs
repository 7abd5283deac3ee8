//! Links that this node opens, and their log lines.

use std::{
    error::Error,
    sync::{Arc, Mutex},
    time::Instant,
};

use futures_util::{SinkExt, StreamExt};
use quorate_metrics::GaugeGuard;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::{
    FRAME_SIZE_MAX, Frame, Introduce, Link, LinkError, LogBudget, LogSummary, NodeId, PeerMetrics,
    StreamKind, Unlogged, chain,
    connector::Connector,
    dial_error::DialError,
    frame::{FrameCodec, FrameError},
    greeting::{
        FrameReader, FrameWriter, GREETING_SIZE_MAX, Greeting, Hello, greeting_frames, messages,
    },
    lock,
    message::{Request, Response, WIRE_VERSIONS},
    metrics::Direction,
};

/// Both halves of a connection after the greetings, and the peer's summary of its log.
type Greeted = (FrameReader<Greeting>, FrameWriter<Hello>, LogSummary);

#[derive(Debug)]
pub(crate) struct Remote {
    pub(crate) peer: NodeId,
    pub(crate) address: String,
    pub(crate) stream_kind: StreamKind,
    /// The state of this peer and stream, whatever the address.
    pub(crate) route: Arc<RouteState>,
    /// Shared by all peers: one that comes and goes does not fill the log.
    pub(crate) log: Arc<LogBudget>,
    pub(crate) metrics: PeerMetrics,
}

/// The state of the last link on a stream to a peer, so that only changes are logged.
#[derive(Debug, Default)]
pub(crate) struct RouteState(Mutex<Option<LinkState>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LinkState {
    Open,
    /// It was open and ended.
    Lost,
    /// It could not be opened.
    Unreachable,
}

impl Remote {
    /// Opens a link to the peer, and sends it this introduction of the node.
    pub(crate) async fn open(
        self,
        connector: Arc<Connector>,
        introduce: Introduce,
    ) -> Result<Link, LinkError> {
        let stream_kind = self.stream_kind;
        let greet = |stream| greet(stream, Hello::new(introduce(), stream_kind));
        match connector.reach(self.peer, &self.address, greet).await {
            Ok(greeted) => {
                self.on_open();
                Ok(self.link(greeted))
            }
            Err(error) => {
                let failures = &self.metrics.dial_failures_total;
                failures.of(error.reason()).inc();
                Err(self.on_unreachable(&error))
            }
        }
    }

    fn link(self, (reader, writer, stated): Greeted) -> Link {
        let (stream_kind, metrics) = (self.stream_kind, &self.metrics);
        let (read, written) = (metrics.read(stream_kind), metrics.written(stream_kind));
        let reader =
            reader.map_decoder(|_| FrameCodec::<Frame<Response>>::new(FRAME_SIZE_MAX, Some(read)));
        let writer = writer
            .map_encoder(|_| FrameCodec::<Frame<Request>>::new(FRAME_SIZE_MAX, Some(written)));
        // The link is open while either half of it is held.
        let open = GaugeGuard::new(metrics.links_open.of(Direction::Dialed).of(stream_kind));
        let remote = Arc::new((self, open));
        let requests = {
            let remote = remote.clone();
            writer.sink_map_err(move |error: FrameError| remote.0.on_lost(&error))
        };
        // The end of the connection is an error: only this end may end a link.
        let responses = messages(reader, move |error| remote.0.on_lost(error));
        Link {
            requests: Box::pin(requests),
            responses: responses.boxed(),
            stated,
        }
    }

    fn on_open(&self) {
        if let Some(unlogged) = self.log_change(LinkState::Open) {
            let (peer, address, stream_kind) = (self.peer, &self.address, self.stream_kind);
            tracing::info!(%peer, address, ?stream_kind, unlogged, "the link to a peer is open");
        }
    }

    /// Logs the failure of a dial, and returns its error for callers.
    fn on_unreachable(&self, error: &DialError) -> LinkError {
        let text = self.text(error);
        let error = match error {
            DialError::NotAdmitted => LinkError::NotAdmitted(text),
            DialError::DataLost(loss) => LinkError::DataLost(text, *loss),
            DialError::Removed(removal) => LinkError::Removed(text, removal.clone()),
            _ => LinkError::Failed(text),
        };
        let stream_kind = self.stream_kind;
        match self.log_change(LinkState::Unreachable) {
            Some(unlogged) => {
                tracing::warn!(%error, ?stream_kind, unlogged, "a peer is out of reach");
            }
            None => tracing::debug!(%error, ?stream_kind, "a peer is still out of reach"),
        }
        error
    }

    /// Logs the end of a link, and returns its error for callers.
    fn on_lost(&self, error: &FrameError) -> LinkError {
        // The detail does not matter here, only which end closed.
        let cause = match error.is_disconnect() {
            true => &FrameError::Closed,
            false => error,
        };
        let (error, stream_kind) = (error.link_error(self.text(cause)), self.stream_kind);
        if let Some(unlogged) = self.log_change(LinkState::Lost) {
            tracing::info!(%error, ?stream_kind, unlogged, "the link to a peer is lost");
        }
        error
    }

    /// Records the state of the link. If it changed, returns how many log lines were left out before.
    fn log_change(&self, state: LinkState) -> Option<Unlogged> {
        let RouteState(last) = &*self.route;
        match lock(last).replace(state) == Some(state) {
            true => None,
            false => self.log.take(Instant::now()),
        }
    }

    /// The error with its sources, the peer and the address.
    fn text(&self, error: &dyn Error) -> String {
        let Self { peer, address, .. } = self;
        format!("peer {peer} at {address}: {}", chain(error))
    }
}

async fn greet(stream: TlsStream<TcpStream>, hello: Hello) -> Result<Greeted, DialError> {
    let (mut reader, mut writer) = greeting_frames::<Greeting, Hello>(stream, GREETING_SIZE_MAX);
    let sent = writer.send(hello).await;
    // Even if the hello could not be sent: the peer may have sent its reason before it closed.
    match reader.next().await {
        Some(Ok(Greeting::Welcome { version, stated })) if WIRE_VERSIONS.contains(&version) => {
            Ok((reader, writer, stated))
        }
        Some(Ok(Greeting::Welcome { version, .. })) => Err(DialError::WireVersion(version)),
        Some(Ok(Greeting::Rejected(reason))) => Err(DialError::Rejected(reason)),
        Some(Ok(Greeting::DataLost(loss))) => Err(DialError::DataLost(loss)),
        Some(Ok(Greeting::Removed(removal))) => Err(DialError::Removed(Arc::new(removal))),
        Some(Ok(Greeting::Join(_))) => Err(DialError::Unasked),
        Some(Err(FrameError::Io(error))) => Err(DialError::tls(error)),
        Some(Err(error)) => Err(DialError::Greeting(error)),
        None => match sent {
            Err(FrameError::Io(error)) => Err(DialError::tls(error)),
            // It closed TLS without a message: this is how unknown nodes are rejected.
            _ => Err(DialError::NotAdmitted),
        },
    }
}
