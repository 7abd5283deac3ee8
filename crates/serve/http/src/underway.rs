//! What is done on a connection, and since when nothing is.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use crate::listener::{Busy, Place};
use axum::{
    body::{Body, HttpBody},
    response::Response,
};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::time::{Instant, sleep_until};

/// The requests of a connection.
#[derive(Debug)]
pub(crate) struct Activity {
    place: Arc<Place>,
    state: Mutex<State>,
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
        Arc::new(Self { place, state })
    }

    /// Notes a request, which is under way until what is returned is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> Arc<Underway> {
        self.lock().underway_count += 1;
        Arc::new(Underway {
            activity: self.clone(),
            busy: OnceLock::new(),
        })
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
#[derive(Debug)]
pub(crate) struct Underway {
    activity: Arc<Activity>,
    busy: OnceLock<Busy>,
}

impl Underway {
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
            Body::new(HeldBody {
                body,
                _underway: self,
            })
        })
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        let mut state = self.activity.lock();
        state.underway_count -= 1;
        state.ended_at = Instant::now();
    }
}

/// The body of a response that is made while it is sent.
struct HeldBody {
    body: Body,
    _underway: Arc<Underway>,
}

impl HttpBody for HeldBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
