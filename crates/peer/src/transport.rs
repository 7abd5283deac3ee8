//! Links to peers.

use std::{
    collections::{BTreeMap, HashMap},
    error::Error,
    fmt::{self, Write},
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, Instant},
};

use futures_util::{
    FutureExt, SinkExt, StreamExt,
    future::{self, BoxFuture},
};
use quorate_rpc::{
    Lane, Link, LinkError, NodeId, Transport,
    message::{Request, Response},
};
use tokio::task::JoinHandle;

use crate::{
    FRAME_SIZE_MAX, Metrics, Passport,
    dial::{Dialer, GreetingReader, HelloWriter},
    frame::{FrameDecoder, FrameEncoder, FrameError, is_end},
    log_budget::LogBudget,
    metrics::{End, OpenLink},
};

/// How many lines of the log peers cause in a minute by coming and going: a cluster of nine that
/// stops and starts writes each of its links down.
const LINE_COUNT_PER_MINUTE_MAX: u32 = 64;

/// Where peers are, and how long to bear with them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransportConfig {
    /// Where peers are, as `host:port`. For these, the address in the membership does not count.
    pub addresses: BTreeMap<NodeId, String>,
    /// How long a name lookup and the TCP connection may take together.
    pub connect_timeout: Duration,
    /// How long TLS and the greeting may take.
    pub handshake_timeout: Duration,
}

impl TransportConfig {
    /// The defaults, with these addresses.
    pub fn new(addresses: BTreeMap<NodeId, String>) -> Self {
        Self {
            addresses,
            // TCP repeats a lost SYN after 1 s: a new dial does it no later, and asks the resolver.
            connect_timeout: Duration::from_secs(1),
            // Two round trips and four signatures; a peer that was paused goes on after it.
            handshake_timeout: Duration::from_secs(5),
        }
    }
}

/// Opens links to peers over TCP and TLS.
///
/// A dial goes on when its caller has lost patience, and the next caller for the same peer and lane
/// takes it over: heartbeats have less time than a connection over a long way needs, and would
/// otherwise never get one.
pub struct PeerTransport(Arc<Shared>);

struct Shared {
    dialer: Dialer,
    metrics: Metrics,
    log: LogBudget,
    /// For each peer and lane that was ever dialed: members only, so it does not grow.
    lines: Mutex<HashMap<(NodeId, Lane), Arc<Line>>>,
}

/// What is known of one lane to one peer.
#[derive(Default)]
struct Line {
    dial: tokio::sync::Mutex<Option<Dial>>,
    /// How the last dial went, so that only changes are logged.
    standing: Mutex<Option<Standing>>,
}

/// A dial under way.
struct Dial {
    address: String,
    link: JoinHandle<Result<Link, LinkError>>,
}

impl PeerTransport {
    /// A transport of the node with this passport.
    pub fn new(passport: Passport, config: TransportConfig, metrics: Metrics) -> Self {
        Self(Arc::new(Shared {
            dialer: Dialer::new(passport, config),
            metrics,
            log: LogBudget::new(LINE_COUNT_PER_MINUTE_MAX),
            lines: Mutex::default(),
        }))
    }
}

impl fmt::Debug for PeerTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PeerTransport")
            .field(&self.0.dialer)
            .finish()
    }
}

impl Transport for PeerTransport {
    fn open(
        &self,
        peer: NodeId,
        address: String,
        lane: Lane,
    ) -> BoxFuture<'static, Result<Link, LinkError>> {
        let shared = self.0.clone();
        let address = shared.dialer.address(peer, address);
        async move { shared.open(peer, address, lane).await }.boxed()
    }
}

impl Shared {
    async fn open(
        self: Arc<Self>,
        peer: NodeId,
        address: String,
        lane: Lane,
    ) -> Result<Link, LinkError> {
        let line = self.line(peer, lane);
        let mut dial = line.dial.lock().await;
        if let Some(elsewhere) = dial.take_if(|dial| dial.address != address) {
            elsewhere.link.abort();
        }
        loop {
            let had_ended = dial.as_ref().is_some_and(|dial| dial.link.is_finished());
            let under_way = dial.get_or_insert_with(|| Dial {
                address: address.clone(),
                link: tokio::spawn(self.dial(peer, address.clone(), lane)),
            });
            let ended = (&mut under_way.link).await;
            *dial = None;
            match ended {
                Ok(Ok(link)) => return Ok(link),
                // A failure of before says nothing of now.
                _ if had_ended => {}
                Ok(Err(error)) => return Err(error),
                Err(error) => {
                    return Err(LinkError(format!(
                        "the dial to peer {peer} at {address} ended early: {error}"
                    )));
                }
            }
        }
    }

    fn line(&self, peer: NodeId, lane: Lane) -> Arc<Line> {
        // Looking up and inserting do not panic halfway.
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.entry((peer, lane)).or_default().clone()
    }

    fn dial(
        self: &Arc<Self>,
        peer: NodeId,
        address: String,
        lane: Lane,
    ) -> impl Future<Output = Result<Link, LinkError>> + Send + 'static {
        let shared = self.clone();
        async move {
            let dialed = shared.dialer.dial(peer, &address, lane).await;
            let far_end = FarEnd {
                peer,
                address,
                lane,
            };
            match dialed {
                Ok((writer, reader)) => {
                    shared.on_reached(&far_end);
                    Ok(shared.link(far_end, writer, reader))
                }
                Err(error) => {
                    shared.metrics.count_dial_failure(error.reason());
                    let error = far_end.error(&error);
                    shared.on_unreached(&far_end, &error);
                    Err(error)
                }
            }
        }
    }

    fn link(
        self: &Arc<Self>,
        far_end: FarEnd,
        writer: HelloWriter,
        reader: GreetingReader,
    ) -> Link {
        let lane = far_end.lane;
        let written = self.metrics.written(lane);
        let read = self.metrics.read(lane);
        let open = Arc::new(DialedLink {
            far_end,
            shared: Arc::downgrade(self),
            _open: self.metrics.open_link(End::Dialed, lane),
        });
        let requests = {
            let open = open.clone();
            writer
                .map_encoder(|_| FrameEncoder::<Request>::new(FRAME_SIZE_MAX, Some(written)))
                .sink_map_err(move |error: FrameError| open.fail(&error))
        };
        let responses = reader
            .map_decoder(|_| FrameDecoder::<Response>::new(FRAME_SIZE_MAX, Some(read)))
            .map(Some)
            // The end of the connection is an error: only this end may end a link.
            .chain(futures_util::stream::once(future::ready(None)))
            .scan(false, move |lost, response| {
                let item = match response {
                    _ if *lost => None,
                    Some(Ok(response)) => Some(Ok(response)),
                    Some(Err(error)) => Some(Err(open.fail(&error))),
                    None => Some(Err(open.fail(&FrameError::Closed))),
                };
                *lost = matches!(item, Some(Err(_)));
                future::ready(item)
            });
        Link {
            requests: Box::pin(requests),
            responses: responses.boxed(),
        }
    }

    fn on_reached(&self, far_end: &FarEnd) {
        if self.changes(far_end, Standing::Open) {
            self.log(|unlogged| {
                let FarEnd {
                    peer,
                    address,
                    lane,
                } = far_end;
                tracing::info!(%peer, address, ?lane, unlogged, "the link to a peer is open");
            });
        }
    }

    fn on_unreached(&self, far_end: &FarEnd, error: &LinkError) {
        if self.changes(far_end, Standing::OutOfReach) {
            self.log(|unlogged| {
                tracing::warn!(%error, lane = ?far_end.lane, unlogged, "a peer is out of reach");
            });
        } else {
            tracing::debug!(%error, lane = ?far_end.lane, "a peer is still out of reach");
        }
    }

    fn on_lost(&self, far_end: &FarEnd, error: &LinkError) {
        if self.changes(far_end, Standing::Lost) {
            self.log(|unlogged| {
                tracing::info!(%error, lane = ?far_end.lane, unlogged, "the link to a peer is lost");
            });
        }
    }

    /// Notes how the line stands and tells if that is news.
    fn changes(&self, far_end: &FarEnd, now: Standing) -> bool {
        let line = self.line(far_end.peer, far_end.lane);
        let mut standing = line.standing.lock().unwrap_or_else(PoisonError::into_inner);
        standing.replace(now) != Some(now)
    }

    /// Writes a line, unless a peer that comes and goes has written too many.
    fn log(&self, write: impl FnOnce(u32)) {
        if let Some(unlogged) = self.log.take(Instant::now()) {
            write(unlogged);
        }
    }
}

/// How the links of a line fared last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// One was opened.
    Open,
    /// One that was open ended.
    Lost,
    /// None could be opened.
    OutOfReach,
}

/// A link that this node opened, while any half of it is held.
struct DialedLink {
    far_end: FarEnd,
    /// Weak, since a link that nobody has taken over yet is held there.
    shared: Weak<Shared>,
    _open: OpenLink,
}

impl DialedLink {
    fn fail(&self, error: &FrameError) -> LinkError {
        let error = match error {
            FrameError::Io(lost) if is_end(lost) => self.far_end.error(&FrameError::Closed),
            _ => self.far_end.error(error),
        };
        if let Some(shared) = self.shared.upgrade() {
            shared.on_lost(&self.far_end, &error);
        }
        error
    }
}

/// Whom a link leads to.
#[derive(Debug)]
struct FarEnd {
    peer: NodeId,
    address: String,
    lane: Lane,
}

impl FarEnd {
    fn error(&self, error: &dyn Error) -> LinkError {
        let Self { peer, address, .. } = self;
        let mut text = format!("peer {peer} at {address}: {error}");
        let mut source = error.source();
        while let Some(error) = source {
            write!(text, ": {error}").expect("a String takes every write");
            source = error.source();
        }
        LinkError(text)
    }
}
