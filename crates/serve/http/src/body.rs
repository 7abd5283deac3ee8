//! Reads the bodies of requests.

use std::time::Duration;

use axum::{
    BoxError,
    body::{Body, HttpBody},
};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use quorate_api::{Problem, ProblemType};

/// How much of a body that is too long is read and dropped, in bytes, so that the connection can be
/// used again. It must not cost more than a new connection.
const DISCARD_SIZE_MAX: usize = 64 * 1024;

/// Why a body could not be read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It has more bytes than allowed.
    #[error("the body is too long")]
    TooLong,
    /// It did not arrive completely in time.
    #[error("the body did not arrive within {0:?}")]
    Slow(Duration),
    /// The connection failed before its end.
    #[error("the connection failed before the end of the body")]
    Lost(#[source] BoxError),
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        let problem_type = match error {
            BodyError::TooLong => ProblemType::TooLong,
            BodyError::Slow(_) | BodyError::Lost(_) => ProblemType::BadRequest,
        };
        Self::new(problem_type, error.to_string())
    }
}

impl From<BoxError> for BodyError {
    /// Unwraps the error of a body from axum's error.
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
/// [`body_read_timeout`](crate::HttpConfig::body_read_timeout). A body that arrives in one piece is
/// not copied.
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
