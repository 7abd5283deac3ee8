//! Links opened by peers.

use std::{
    error::Error,
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{SinkExt, StreamExt, stream};
use quorate_metrics::GaugeGuard;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::{
    FRAME_SIZE_MAX, Frame, LinkError, LogBudget, NodeId, PeerMetrics, Service, StreamKind, Voucher,
    chain,
    frame::{FrameCodec, FrameError},
    greeting::{FrameReader, FrameWriter, Greeting, Hello, messages},
    link_permits::LinkPermit,
    message::{Request, Response},
    metrics::Direction,
};

/// The most responses that are written before a flush: all that are ready, but few enough to use little
/// memory while a slow peer reads them.
const READY_COUNT_MAX: usize = 64;

/// A link that a peer opened.
pub(crate) struct AcceptedLink {
    origin: Origin,
    reader: FrameReader<Frame<Request>>,
    writer: FrameWriter<Frame<Response>>,
    log: Arc<LogBudget>,
    vouchers: Vec<Voucher>,
    _permit: LinkPermit,
    _open: GaugeGuard,
}

/// The origin of a link.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin {
    pub(crate) peer: NodeId,
    pub(crate) address: SocketAddr,
    pub(crate) stream_kind: StreamKind,
}

impl AcceptedLink {
    /// Makes a welcomed connection a link.
    pub(crate) fn new(
        (reader, writer): (FrameReader<Hello>, FrameWriter<Greeting>),
        origin: Origin,
        vouchers: Vec<Voucher>,
        permit: LinkPermit,
        log: Arc<LogBudget>,
        metrics: &PeerMetrics,
    ) -> Self {
        let stream_kind = origin.stream_kind;
        let (read, written) = (metrics.read(stream_kind), metrics.written(stream_kind));
        Self {
            origin,
            reader: reader.map_decoder(|_| FrameCodec::new(FRAME_SIZE_MAX, Some(read))),
            writer: writer.map_encoder(|_| FrameCodec::new(FRAME_SIZE_MAX, Some(written))),
            log,
            vouchers,
            _permit: permit,
            _open: GaugeGuard::new(metrics.links_open.of(Direction::Accepted).of(stream_kind)),
        }
    }

    /// Serves the link until the peer or the service ends it, or the peer is removed. After `stop` is
    /// cancelled no more requests are read, and those already read are answered. A peer that reads nothing
    /// for `write_timeout` is disconnected.
    pub(crate) async fn serve(
        self,
        service: Arc<dyn Service>,
        write_timeout: Duration,
        stop: CancellationToken,
    ) {
        let (origin, log) = (self.origin, self.log.clone());
        let removed = service.removed(origin.peer, self.vouchers.clone());
        tokio::select! {
            // A removed peer is not served at all.
            biased;
            () = removed => origin.log_removed(&log),
            () = self.answer(service, write_timeout, stop) => {}
        }
    }

    async fn answer(
        self,
        service: Arc<dyn Service>,
        write_timeout: Duration,
        stop: CancellationToken,
    ) {
        let (origin, log, mut writer) = (self.origin, self.log, self.writer);
        origin.log_state("a peer opened a link");
        let lost = {
            let log = log.clone();
            move |error: &FrameError| {
                origin.log_broken(error, &log);
                origin.link_error(error)
            }
        };
        // Until the link is lost, which is an error, or must stop.
        let requests = messages(self.reader, lost)
            .take_until(stop.cancelled_owned())
            .boxed();
        let responses = service.serve(origin.peer, origin.stream_kind, requests);
        let mut responses = responses.ready_chunks(READY_COUNT_MAX);
        while let Some(ready) = responses.next().await {
            let mut ready = stream::iter(ready).map(Ok);
            let error = match timeout(write_timeout, writer.send_all(&mut ready)).await {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => error,
                Err(_) => FrameError::Io(io::ErrorKind::TimedOut.into()),
            };
            origin.log_broken(&error, &log);
            return;
        }
        origin.log_state("a link of a peer ended");
        // Whether or not the peer receives the end, the link is over.
        let _ = timeout(write_timeout, writer.close()).await;
    }
}

impl Origin {
    fn log_state(&self, state: &str) {
        tracing::debug!(peer = %self.peer, address = %self.address, stream_kind = ?self.stream_kind, "{state}");
    }

    /// The error for the service.
    fn link_error(&self, error: &FrameError) -> LinkError {
        let Self { peer, address, .. } = self;
        error.link_error(format!("peer {peer} at {address}: {}", chain(error)))
    }

    fn log_removed(&self, log: &LogBudget) {
        if let Some(unlogged) = log.take(Instant::now()) {
            tracing::info!(
                peer = %self.peer, address = %self.address, stream_kind = ?self.stream_kind, unlogged,
                "closed the link of a node that is no longer of this cluster"
            );
        }
    }

    /// Warns about a peer that sends garbage, not about one that went away.
    fn log_broken(&self, error: &FrameError, log: &LogBudget) {
        if error.is_disconnect() {
            self.log_state("a peer closed a link");
        } else if let Some(unlogged) = log.take(Instant::now()) {
            tracing::warn!(
                peer = %self.peer, address = %self.address, stream_kind = ?self.stream_kind, reason = %error,
                source = error.source().map(tracing::field::display), unlogged,
                "closing a broken link"
            );
        }
    }
}
