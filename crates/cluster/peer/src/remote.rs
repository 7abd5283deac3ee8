//! Links that this node opens, and what the log says of them.

use std::{
    error::Error,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use crate::{
    Frame, Introduction, Lane, Link, LinkError, NodeId, chain,
    message::{Request, Response},
};
use futures_util::{SinkExt, StreamExt, stream};
use quorate_metrics::Held;

use crate::{
    FRAME_SIZE_MAX, PeerMetrics,
    dial::{Dialer, Greeted},
    dial_error::DialError,
    frame::{FrameCodec, FrameError},
    log_budget::{LogBudget, Unlogged},
    metrics::Direction,
};

#[derive(Debug, Clone)]
pub(crate) struct Remote {
    pub(crate) peer: NodeId,
    pub(crate) address: String,
    pub(crate) lane: Lane,
    /// What the peer is told of this node.
    pub(crate) introduction: Introduction,
    /// Of this peer and lane, whatever the address.
    pub(crate) route: Arc<RouteState>,
    /// Of all peers: one that comes and goes does not fill the log.
    pub(crate) log: Arc<LogBudget>,
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
    pub(crate) async fn open(self, dialer: Arc<Dialer>) -> Result<Link, LinkError> {
        let metrics = &dialer.metrics;
        let Self {
            peer,
            lane,
            introduction,
            ..
        } = self;
        match dialer.dial(peer, &self.address, lane, introduction).await {
            Ok(greeted) => {
                self.on_open();
                Ok(self.link(greeted, metrics))
            }
            Err(error) => {
                metrics.dial_failures_total.of(error.reason()).inc();
                Err(self.on_unreachable(&error))
            }
        }
    }

    fn link(self, (reader, writer, log): Greeted, metrics: &PeerMetrics) -> Link {
        let lane = self.lane;
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
        let responses = stream::unfold(Some((reader, remote)), |open| async {
            let (mut reader, remote) = open?;
            let error = match reader.next().await {
                Some(Ok(response)) => return Some((Ok(response), Some((reader, remote)))),
                Some(Err(error)) => error,
                // The end of the connection is an error: only this end may end a link.
                None => FrameError::Closed,
            };
            Some((Err(remote.0.on_lost(&error)), None))
        });
        Link {
            requests: Box::pin(requests),
            responses: responses.boxed(),
            log,
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
        let kind = match error {
            DialError::NotAdmitted => LinkError::NotAdmitted,
            DialError::Forgotten => LinkError::Forgotten,
            _ => LinkError::Failed,
        };
        let (error, lane) = (kind(self.text(error)), self.lane);
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
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        match last.replace(state) == Some(state) {
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
