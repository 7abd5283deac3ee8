//! The body of a request, watched while a router reads it.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    BoxError,
    body::{Body, HttpBody},
};
use bytes::Bytes;
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::time::Sleep;

use crate::{BodyError, underway::Underway};

/// Whether the body of a connection's last request was dropped before its end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Unread(Arc<AtomicBool>);

impl Unread {
    pub(crate) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// `body` as that of the connection's last request, which may take `read_timeout` from the
    /// first time on that something of it is waited for.
    pub(crate) fn watch(
        &self,
        body: Incoming,
        read_timeout: Duration,
        underway: &Arc<Underway>,
    ) -> Body {
        self.0.store(false, Ordering::Relaxed);
        if body.is_end_stream() {
            underway.on_received();
            return Body::empty();
        }
        Body::new(WatchedBody {
            ended: false,
            unread: self.clone(),
            read_timeout,
            timer: None,
            underway: underway.clone(),
            body,
        })
    }
}

/// A body that fails when it takes too long, and tells when it has ended or is dropped before.
struct WatchedBody {
    body: Incoming,
    read_timeout: Duration,
    /// Set once something is waited for: most bodies are there at once.
    timer: Option<Pin<Box<Sleep>>>,
    ended: bool,
    unread: Unread,
    underway: Arc<Underway>,
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
            let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
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
            self.unread.0.store(true, Ordering::Relaxed);
        }
    }
}
