//! Links that peers open.

use std::{
    error::Error,
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{SinkExt, StreamExt, future, stream::BoxStream};
use quorate_metrics::Held;
use quorate_rpc::{
    Lane, NodeId, Service,
    message::{Request, Response},
};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::{
    frame::FrameError,
    greeting::{FrameReader, FrameWriter},
    link_permits::LinkPermit,
    log_budget::LogBudget,
};

/// How many responses are written before they are sent: as many as are ready, but few enough to
/// take little memory while the peer takes its time.
const READY_COUNT_MAX: usize = 64;

/// A link that a peer opened.
pub(crate) struct AcceptedLink {
    pub(crate) origin: Origin,
    pub(crate) reader: FrameReader<Request>,
    pub(crate) writer: FrameWriter<Response>,
    pub(crate) log: Arc<LogBudget>,
    pub(crate) _permit: LinkPermit,
    pub(crate) _open: Held,
}

/// Where a link comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin {
    pub(crate) peer: NodeId,
    pub(crate) address: SocketAddr,
    pub(crate) lane: Lane,
}

impl AcceptedLink {
    /// Serves the link until the peer or the service ends it. Once `stop` is cancelled no more
    /// requests are read, and those that were are answered. A peer that takes nothing for
    /// `write_timeout` is cut off.
    pub(crate) async fn serve(
        self,
        service: Arc<dyn Service>,
        write_timeout: Duration,
        stop: CancellationToken,
    ) {
        let Self {
            origin,
            reader,
            mut writer,
            log,
            ..
        } = self;
        let Origin {
            peer,
            address,
            lane,
        } = origin;
        tracing::debug!(%peer, %address, ?lane, "a peer opened a link");
        let requests = requests(reader, origin, log.clone(), stop);
        let mut responses = service
            .serve(peer, lane, requests)
            .ready_chunks(READY_COUNT_MAX);
        while let Some(ready) = responses.next().await {
            let error = match timeout(write_timeout, write(&mut writer, ready)).await {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => error,
                Err(_) => FrameError::Io(io::ErrorKind::TimedOut.into()),
            };
            log_broken(origin, &error, &log);
            return;
        }
        tracing::debug!(%peer, %address, ?lane, "a link of a peer ended");
        // Whether the peer hears the end or finds it, the link is over.
        let _ = timeout(write_timeout, writer.close()).await;
    }
}

/// The requests on a link, until it ends, breaks, or `stop` is cancelled.
fn requests(
    reader: FrameReader<Request>,
    origin: Origin,
    log: Arc<LogBudget>,
    stop: CancellationToken,
) -> BoxStream<'static, Request> {
    reader
        .scan((), move |(), request| {
            let request = request.inspect_err(|error| log_broken(origin, error, &log));
            future::ready(request.ok())
        })
        .take_until(stop.cancelled_owned())
        .boxed()
}

/// Writes what is ready and sends it.
async fn write(writer: &mut FrameWriter<Response>, ready: Vec<Response>) -> Result<(), FrameError> {
    for response in ready {
        writer.feed(response).await?;
    }
    writer.flush().await
}

/// A peer that went away is nothing to warn of; one that speaks garbage is.
fn log_broken(origin: Origin, error: &FrameError, log: &LogBudget) {
    let Origin {
        peer,
        address,
        lane,
    } = origin;
    if error.is_disconnect() {
        tracing::debug!(%peer, %address, ?lane, "a peer closed a link");
        return;
    }
    if let Some(unlogged) = log.take(Instant::now()) {
        let source = error.source().map(tracing::field::display);
        tracing::warn!(
            %peer, %address, ?lane, reason = %error, source, unlogged, "closing a broken link"
        );
    }
}
