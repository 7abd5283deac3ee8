//! Tracks the active requests of a connection, its idle time, and whether a body was left unread.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    BoxError,
    body::{Body, HttpBody},
    response::Response,
};
use bytes::Bytes;
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use crate::{
    BodyError,
    listener::{BusyGuard, ConnectionSlot},
};

/// The active requests of a connection.
pub(crate) struct RequestTracker {
    slot: Arc<ConnectionSlot>,
    state: Mutex<State>,
    /// Whether the body of the last request was dropped before its end.
    unread: AtomicBool,
}

#[derive(Debug)]
struct State {
    active_count: usize,
    /// When the last active request ended.
    ended_at: Instant,
}

impl RequestTracker {
    pub(crate) fn new(slot: Arc<ConnectionSlot>) -> Arc<Self> {
        let state = Mutex::new(State {
            active_count: 0,
            ended_at: Instant::now(),
        });
        let unread = AtomicBool::default();
        Arc::new(Self {
            slot,
            state,
            unread,
        })
    }

    /// Adds a request, which is active until the returned value is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> Arc<ActiveRequest> {
        self.lock().active_count += 1;
        Arc::new(ActiveRequest {
            requests: self.clone(),
            busy: Mutex::default(),
        })
    }

    /// Whether the body of the last request was dropped before its end.
    pub(crate) fn is_unread(&self) -> bool {
        self.unread.load(Ordering::Relaxed)
    }

    /// Waits until no request was active for `timeout`, counted from now on.
    pub(crate) async fn idle_for(&self, timeout: Duration) {
        let mut since = Instant::now();
        loop {
            sleep_until(since + timeout).await;
            let state = self.lock();
            let idle_since = match state.active_count {
                0 => state.ended_at,
                _ => Instant::now(),
            };
            if idle_since <= since {
                return;
            }
            since = idle_since;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An active request.
///
/// While it waits for its client, for example for the rest of a body, the connection counts as
/// idle. So a client that is slow on many connections cannot keep out others.
pub(crate) struct ActiveRequest {
    requests: Arc<RequestTracker>,
    /// Set while the client waits for the node.
    busy: Mutex<Option<BusyGuard>>,
}

impl ActiveRequest {
    /// Wraps the body of the request. The body may take `read_timeout`, counted from the first time
    /// that a read has to wait.
    pub(crate) fn track_body(self: &Arc<Self>, body: Incoming, read_timeout: Duration) -> Body {
        self.requests.unread.store(false, Ordering::Relaxed);
        if body.is_end_stream() {
            self.on_received();
            return Body::empty();
        }
        Body::new(TimedBody {
            ended: false,
            read_timeout,
            timer: None,
            active: self.clone(),
            body,
        })
    }

    /// Records that the request was received completely, so that now the client waits for the node.
    pub(crate) fn on_received(&self) {
        self.busy().get_or_insert_with(|| self.requests.slot.busy());
    }

    /// Records that the client must read before the node has anything to do.
    fn on_written(&self) {
        *self.busy() = None;
    }

    fn busy(&self) -> MutexGuard<'_, Option<BusyGuard>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the request active until a streamed `response` has ended; it waits for the client
    /// whenever a piece was written that the client has not read yet. If the response is already
    /// complete, the request only waits for the client from now on.
    pub(crate) fn until_sent(self: Arc<Self>, response: Response) -> Response {
        if response.body().size_hint().exact().is_some() {
            return response;
        }
        response.map(|body| Body::new(StreamedBody { active: self, body }))
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        let mut state = self.requests.lock();
        state.active_count -= 1;
        state.ended_at = Instant::now();
    }
}

/// The body of a streamed response. The server asks for the next piece when the client has read the
/// last one.
struct StreamedBody {
    active: Arc<ActiveRequest>,
    body: Body,
}

impl HttpBody for StreamedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.active.on_received();
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if polled.is_ready() {
            self.active.on_written();
        }
        polled
    }
}

/// A body that fails when it takes too long, and records whether it was read to its end.
struct TimedBody {
    body: Incoming,
    read_timeout: Duration,
    /// Set when a read first has to wait. Most bodies are there immediately.
    timer: Option<Pin<Box<Sleep>>>,
    ended: bool,
    active: Arc<ActiveRequest>,
}

impl HttpBody for TimedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
            let timeout = self.read_timeout;
            let timer = &mut self.timer;
            let timer = timer.get_or_insert_with(|| Box::pin(sleep(timeout)));
            ready!(timer.as_mut().poll(cx));
            return Poll::Ready(Some(Err(BodyError::Slow(timeout).into())));
        };
        self.ended = frame.is_none() || self.body.is_end_stream();
        if self.ended {
            self.active.on_received();
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for TimedBody {
    fn drop(&mut self) {
        if !self.ended {
            self.active.requests.unread.store(true, Ordering::Relaxed);
        }
    }
}
