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
    body::{Body, HttpBody},
    http::request::Parts,
};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Frame, Incoming, SizeHint};

use crate::config::BODY_READ_TIMEOUT;

/// How much of a body that is too long is read and dropped, in bytes, so that the connection can go
/// on: dearer than a new connection it must not be.
const DISCARD_SIZE_MAX: usize = 64 * 1024;

/// How long the body of the request that carries this may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyTimeout(pub(crate) Duration);

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
    Lost(#[source] axum::BoxError),
}

/// Reads the body of the request with these `parts`: at most `size_max` bytes, and all of them
/// within the server's [`body_read_timeout`](crate::Config::body_read_timeout). A body that arrives
/// in one piece is not copied.
pub async fn read_body(parts: &Parts, mut body: Body, size_max: usize) -> Result<Bytes, BodyError> {
    if body.size_hint().lower() > DISCARD_SIZE_MAX as u64 {
        return Err(BodyError::TooLong);
    }
    let timeout = parts.extensions.get();
    let BodyTimeout(timeout) = *timeout.unwrap_or(&BodyTimeout(BODY_READ_TIMEOUT));
    tokio::time::timeout(timeout, read(&mut body, size_max))
        .await
        .unwrap_or(Err(BodyError::Slow(timeout)))
}

async fn read(body: &mut Body, size_max: usize) -> Result<Bytes, BodyError> {
    match Limited::new(&mut *body, size_max).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            let mut rest = Limited::new(body, DISCARD_SIZE_MAX);
            while let Some(Ok(_)) = rest.frame().await {}
            Err(BodyError::TooLong)
        }
        Err(error) => Err(BodyError::Lost(error)),
    }
}

/// Whether the body of a connection's last request was dropped before its end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Unread(Arc<AtomicBool>);

impl Unread {
    pub(crate) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// `body` as that of the connection's last request.
    pub(crate) fn watch(&self, body: Incoming) -> Body {
        self.0.store(false, Ordering::Relaxed);
        Body::new(WatchedBody {
            ended: body.is_end_stream(),
            unread: self.clone(),
            body,
        })
    }
}

/// A body that tells when it is dropped before its end.
struct WatchedBody {
    body: Incoming,
    ended: bool,
    unread: Unread,
}

impl HttpBody for WatchedBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.ended = frame.is_none() || self.body.is_end_stream();
        Poll::Ready(frame)
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
