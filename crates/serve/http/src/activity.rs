//! What is done on a connection, since when nothing is, and whether the client still writes.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
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
use http_body_util::BodyExt;
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use crate::{
    BodyError,
    listener::{Busy, Place},
};

/// The requests of a connection.
pub(crate) struct Activity {
    place: Arc<Place>,
    state: Mutex<State>,
    /// Whether the body of the last request was dropped before its end.
    unread: AtomicBool,
}

#[derive(Debug)]
struct State {
    underway_count: usize,
    /// When the last ended that was under way.
    ended_at: Instant,
}

impl Activity {
    pub(crate) fn new(place: Arc<Place>) -> Arc<Self> {
        let state = Mutex::new(State {
            underway_count: 0,
            ended_at: Instant::now(),
        });
        let unread = AtomicBool::default();
        Arc::new(Self {
            place,
            state,
            unread,
        })
    }

    /// Notes a request, which is under way until what is returned is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> Arc<ActiveRequest> {
        self.lock().underway_count += 1;
        Arc::new(ActiveRequest {
            activity: self.clone(),
            busy: OnceLock::new(),
        })
    }

    /// Whether the body of the last request was dropped before its end.
    pub(crate) fn is_unread(&self) -> bool {
        self.unread.load(Ordering::Relaxed)
    }

    /// Waits until no request was under way for `timeout`, counted from now on.
    pub(crate) async fn idle_for(&self, timeout: Duration) {
        let mut since = Instant::now();
        loop {
            sleep_until(since + timeout).await;
            let state = self.lock();
            let idle_since = match state.underway_count {
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

/// A request that is under way.
///
/// The connection is idle while it waits for the client, as for the rest of a body: who is slow on
/// all connections shall not keep others from theirs.
pub(crate) struct ActiveRequest {
    activity: Arc<Activity>,
    busy: OnceLock<Busy>,
}

impl ActiveRequest {
    /// `body` as that of the request, which may take `read_timeout` from the first time on that
    /// something of it is waited for.
    pub(crate) fn watch(self: &Arc<Self>, body: Incoming, read_timeout: Duration) -> Body {
        self.activity.unread.store(false, Ordering::Relaxed);
        if body.is_end_stream() {
            self.on_received();
            return Body::empty();
        }
        Body::new(WatchedBody {
            ended: false,
            read_timeout,
            timer: None,
            underway: self.clone(),
            body,
        })
    }

    /// Notes that the request was received whole, so that it waits for us.
    pub(crate) fn on_received(&self) {
        self.busy.get_or_init(|| self.activity.place.busy());
    }

    /// Has the request be under way until we have said all of `response`. One that is whole waits
    /// for the client from now on.
    pub(crate) fn until_said(self: Arc<Self>, response: Response) -> Response {
        if response.body().size_hint().exact().is_some() {
            return response;
        }
        self.on_received();
        response.map(|body| {
            Body::new(body.map_err(move |error| {
                let _held = &self;
                error
            }))
        })
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        let mut state = self.activity.lock();
        state.underway_count -= 1;
        state.ended_at = Instant::now();
    }
}

/// A body that fails when it takes too long, and tells when it has ended or is dropped before.
struct WatchedBody {
    body: Incoming,
    read_timeout: Duration,
    /// Set once something is waited for: most bodies are there at once.
    timer: Option<Pin<Box<Sleep>>>,
    ended: bool,
    underway: Arc<ActiveRequest>,
}

impl HttpBody for WatchedBody {
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
            self.underway.on_received();
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

impl Drop for WatchedBody {
    fn drop(&mut self) {
        if !self.ended {
            self.underway.activity.unread.store(true, Ordering::Relaxed);
        }
    }
}
