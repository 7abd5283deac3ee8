//! Answers that all routers give alike.

use std::fmt::Display;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

/// An answer of text, ended by a line feed.
pub fn text(status: StatusCode, said: impl Display) -> Response {
    (status, format!("{said}\n")).into_response()
}

/// Says when to come back (RFC 9110, section 10.2.3).
pub fn retry_after(mut response: Response, secs: u64) -> Response {
    let after = HeaderValue::from(secs);
    response.headers_mut().insert(header::RETRY_AFTER, after);
    response
}

/// An answer about this moment only, which no cache may keep.
pub fn uncached(response: impl IntoResponse) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], response).into_response()
}
