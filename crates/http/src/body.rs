//! Bodies of requests.

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
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::time::Sleep;

/// How much of a body that is too long is read and dropped, in bytes, so that the connection can go
/// on: dearer than a new connection it must not be.
const DISCARD_SIZE_MAX: usize = 64 * 1024;

/// Why there is no body.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It has more bytes than it may have.
    #[error("the body is too long")]
    TooLong,
    /// It has not arrived whole in time.
    #[error("the body did not arrive within {0:?}")]
    Slow(Duration),
    /// The connection failed within it.
    #[error("the connection failed within the body")]
    Lost(#[source] BoxError),
}

impl From<BoxError> for BodyError {
    /// What a body failed with, as axum passes it on.
    fn from(error: BoxError) -> Self {
        let error = match error.downcast::<axum::Error>() {
            Ok(error) => error.into_inner(),
            Err(error) => error,
        };
        match error.downcast() {
            Ok(error) => *error,
            Err(error) => Self::Lost(error),
        }
    }
}

/// Reads a request's body: at most `size_max` bytes, and all of them within the server's
/// [`body_read_timeout`](crate::Config::body_read_timeout). A body that arrives in one piece is not
/// copied.
pub async fn read_body(mut body: Body, size_max: usize) -> Result<Bytes, BodyError> {
    if body.size_hint().lower() > size_max.max(DISCARD_SIZE_MAX) as u64 {
        return Err(BodyError::TooLong);
    }
    match Limited::new(&mut body, size_max).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            let mut rest = Limited::new(body, DISCARD_SIZE_MAX);
            while let Some(Ok(_)) = rest.frame().await {}
            Err(BodyError::TooLong)
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether the body of a connection's last request was dropped before its end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Unread(Arc<AtomicBool>);

impl Unread {
    pub(crate) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// `body` as that of the connection's last request, which may take `read_timeout` from the
    /// first time on that something of it is waited for.
    pub(crate) fn watch(&self, body: Incoming, read_timeout: Duration) -> Body {
        self.0.store(false, Ordering::Relaxed);
        Body::new(WatchedBody {
            ended: body.is_end_stream(),
            unread: self.clone(),
            read_timeout,
            timer: None,
            body,
        })
    }
}

/// A body that fails when it takes too long, and tells when it is dropped before its end.
struct WatchedBody {
    body: Incoming,
    read_timeout: Duration,
    /// Set once something is waited for: most bodies are there at once.
    timer: Option<Pin<Box<Sleep>>>,
    ended: bool,
    unread: Unread,
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
