//! Links that this node opens, and what the log says of them.

use std::{
    error::Error,
    sync::{Arc, Mutex},
    time::Instant,
};

use futures_util::{SinkExt, StreamExt};
use quorate_metrics::Held;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::{
    FRAME_SIZE_MAX, Frame, Introduce, Lane, Link, LinkError, NodeId, PeerMetrics, Stated, chain,
    connector::Connector,
    dial_error::DialError,
    frame::{FrameCodec, FrameError},
    greeting::{
        FrameReader, FrameWriter, GREETING_SIZE_MAX, Greeting, Hello, greeting_frames, messages,
    },
    lock,
    log_budget::{LogBudget, Unlogged},
    message::{Request, Response, WIRE_VERSIONS},
    metrics::Direction,
};

/// Both halves of a connection on which greetings were exchanged, and what the peer said of its log.
type Greeted = (FrameReader<Greeting>, FrameWriter<Hello>, Stated);

#[derive(Debug)]
pub(crate) struct Remote {
    pub(crate) peer: NodeId,
    pub(crate) address: String,
    pub(crate) lane: Lane,
    /// Of this peer and lane, whatever the address.
    pub(crate) route: Arc<RouteState>,
    /// Of all peers: one that comes and goes does not fill the log.
    pub(crate) log: Arc<LogBudget>,
    pub(crate) metrics: PeerMetrics,
}

/// How the last link on a lane to a peer fared, so that only changes are logged.
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
    /// Opens a link to the peer, which is told this of the node.
    pub(crate) async fn open(
        self,
        connector: Arc<Connector>,
        introduce: Introduce,
    ) -> Result<Link, LinkError> {
        let lane = self.lane;
        let greet = |stream| greet(stream, Hello::new(introduce(), lane));
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
        let (lane, metrics) = (self.lane, &self.metrics);
        let (read, written) = (metrics.read(lane), metrics.written(lane));
        let reader =
            reader.map_decoder(|_| FrameCodec::<Frame<Response>>::new(FRAME_SIZE_MAX, Some(read)));
        let writer = writer
            .map_encoder(|_| FrameCodec::<Frame<Request>>::new(FRAME_SIZE_MAX, Some(written)));
        // The link is open while either half of it is held.
        let open = Held::new(metrics.links_open.of(Direction::Dialed).of(lane));
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
            let (peer, address, lane) = (self.peer, &self.address, self.lane);
            tracing::info!(%peer, address, ?lane, unlogged, "the link to a peer is open");
        }
    }

    /// Says what the failure of a dial is to callers.
    fn on_unreachable(&self, error: &DialError) -> LinkError {
        let text = self.text(error);
        let error = match error {
            DialError::NotAdmitted => LinkError::NotAdmitted(text),
            DialError::Forgotten(loss) => LinkError::Forgotten(text, *loss),
            DialError::Removed(removal) => LinkError::Removed(text, removal.clone()),
            _ => LinkError::Failed(text),
        };
        let lane = self.lane;
        match self.log_change(LinkState::Unreachable) {
            Some(unlogged) => {
                tracing::warn!(%error, ?lane, unlogged, "a peer is out of reach");
            }
            None => tracing::debug!(%error, ?lane, "a peer is still out of reach"),
        }
        error
    }

    /// Says what the end of a link is to callers.
    fn on_lost(&self, error: &FrameError) -> LinkError {
        // However it went: what matters is who went.
        let told = match error.is_disconnect() {
            true => &FrameError::Closed,
            false => error,
        };
        let (error, lane) = (error.link_error(self.text(told)), self.lane);
        if let Some(unlogged) = self.log_change(LinkState::Lost) {
            tracing::info!(%error, ?lane, unlogged, "the link to a peer is lost");
        }
        error
    }

    /// Notes how the link fares. If that is news for the log, tells how many lines were left out
    /// before it.
    fn log_change(&self, state: LinkState) -> Option<Unlogged> {
        let RouteState(last) = &*self.route;
        match lock(last).replace(state) == Some(state) {
            true => None,
            false => self.log.take(Instant::now()),
        }
    }

    /// The error with its sources, and where it happened.
    fn text(&self, error: &dyn Error) -> String {
        let Self { peer, address, .. } = self;
        format!("peer {peer} at {address}: {}", chain(error))
    }
}

async fn greet(stream: TlsStream<TcpStream>, hello: Hello) -> Result<Greeted, DialError> {
    let (mut reader, mut writer) = greeting_frames::<Greeting, Hello>(stream, GREETING_SIZE_MAX);
    let sent = writer.send(hello).await;
    // Even if the hello could not be sent: the peer may have said before why it went.
    match reader.next().await {
        Some(Ok(Greeting::Welcome { version, stated })) if WIRE_VERSIONS.contains(&version) => {
            Ok((reader, writer, stated))
        }
        Some(Ok(Greeting::Welcome { version, .. })) => Err(DialError::WireVersion(version)),
        Some(Ok(Greeting::Refused(reason))) => Err(DialError::Refused(reason)),
        Some(Ok(Greeting::Forgotten(loss))) => Err(DialError::Forgotten(loss)),
        Some(Ok(Greeting::Removed(removal))) => Err(DialError::Removed(Arc::new(removal))),
        Some(Ok(Greeting::Join(_))) => Err(DialError::Unasked),
        Some(Err(FrameError::Io(error))) => Err(DialError::tls(error)),
        Some(Err(error)) => Err(DialError::Greeting(error)),
        None => match sent {
            Err(FrameError::Io(error)) => Err(DialError::tls(error)),
            // It took its leave in TLS, without a word: so strangers are turned away.
            _ => Err(DialError::NotAdmitted),
        },
    }
}
