//! Responses that all routers use.

use std::fmt::Display;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

/// A plain text response, with a line feed at the end.
pub fn text(status: StatusCode, message: impl Display) -> Response {
    (status, format!("{message}\n")).into_response()
}

/// Adds `Retry-After` (RFC 9110, section 10.2.3).
pub fn retry_after(mut response: Response, secs: u64) -> Response {
    let after = HeaderValue::from(secs);
    response.headers_mut().insert(header::RETRY_AFTER, after);
    response
}

/// A response that caches may not keep.
pub fn uncached(response: impl IntoResponse) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], response).into_response()
}
