//! Reads the path, the query and the body of a request.

use std::{fmt::Display, ops::RangeInclusive};

use axum::{
    extract::{FromRequestParts, Path, Query},
    http::request::Parts,
};
use bytes::Bytes;
use quorate_api::ProblemType;
use quorate_http::ProblemResponse;
use quorate_packet::PublicKey;
use serde::{Deserialize, de::DeserializeOwned};

/// The parameter in the path.
pub(crate) struct PathParam(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for PathParam {
    type Rejection = ProblemResponse;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ProblemResponse> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(segment)) => Ok(Self(segment)),
            Err(error) => Err(malformed("path", error.body_text())),
        }
    }
}

/// The query of the URL.
pub(crate) struct QueryParams<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for QueryParams<T> {
    type Rejection = ProblemResponse;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ProblemResponse> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(params)) => Ok(Self(params)),
            Err(error) => Err(malformed("query", error.body_text())),
        }
    }
}

/// Parses a key from a path, a query or a body.
pub(crate) fn parse_key(text: &str) -> Result<PublicKey, ProblemResponse> {
    text.parse().map_err(|error| {
        let detail = format!("{text:?} is not a key: {error}");
        ProblemResponse::new(ProblemType::BadRequest, detail)
    })
}

/// Returns `value`, or fails if it is out of `range`.
pub(crate) fn check_range<T: PartialOrd + Display>(
    name: &str,
    value: T,
    range: RangeInclusive<T>,
) -> Result<T, ProblemResponse> {
    if range.contains(&value) {
        return Ok(value);
    }
    let (min, max) = range.into_inner();
    let detail = format!("`{name}` is {value}, but must be between {min} and {max}");
    Err(ProblemResponse::new(ProblemType::BadRequest, detail))
}

/// Runs `work`, which may block, on another thread. A panic in it continues here.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

fn malformed(what: &str, error: impl Display) -> ProblemResponse {
    let detail = format!("the {what} of the request is invalid: {error}");
    ProblemResponse::new(ProblemType::BadRequest, detail)
}

/// The body of an authorized request.
#[derive(Clone)]
pub(crate) struct RequestBody(pub(crate) Bytes);

/// The body of a request as JSON. An empty body counts as `{}`.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for JsonBody<T> {
    type Rejection = ProblemResponse;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ProblemResponse> {
        let received = parts.extensions.get::<RequestBody>();
        let body = received.map_or(&[][..], |RequestBody(body)| body);
        let body = if body.is_empty() { b"{}" } else { body };
        serde_json::from_slice(body)
            .map(Self)
            .map_err(|error| malformed("body", error))
    }
}

/// The body of a request without parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EmptyBody {}
