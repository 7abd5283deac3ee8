//! What a request says in its path, its query and its body.

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

/// What stands in the one place of a path that is left open.
pub(crate) struct Segment(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = ProblemResponse;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ProblemResponse> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(segment)) => Ok(Self(segment)),
            Err(error) => Err(malformed("path", error.body_text())),
        }
    }
}

/// What stands behind the question mark.
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = ProblemResponse;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ProblemResponse> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(params)) => Ok(Self(params)),
            Err(error) => Err(malformed("query", error.body_text())),
        }
    }
}

/// A key as it stands in a path, a query or a body.
pub(crate) fn parse_key(text: &str) -> Result<PublicKey, ProblemResponse> {
    text.parse().map_err(|error| {
        let said = format!("{text:?} is no key: {error}");
        ProblemResponse::new(ProblemType::BadRequest, said)
    })
}

/// Refuses what lies outside of what may be.
pub(crate) fn check_range<T: PartialOrd + Display>(
    name: &str,
    value: T,
    range: RangeInclusive<T>,
) -> Result<T, ProblemResponse> {
    if range.contains(&value) {
        return Ok(value);
    }
    let (min, max) = range.into_inner();
    let said = format!("`{name}` is {value}, and may be from {min} to {max}");
    Err(ProblemResponse::new(ProblemType::BadRequest, said))
}

/// Has a thread wait for what may block. A panic goes on here.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

fn malformed(what: &str, error: impl Display) -> ProblemResponse {
    let said = format!("the {what} is not what is asked for here: {error}");
    ProblemResponse::new(ProblemType::BadRequest, said)
}

/// The body of a request that was let in.
#[derive(Clone)]
pub(crate) struct Received(pub(crate) Bytes);

/// What a request for a change says: its body as JSON. No body says `{}`.
pub(crate) struct Ask<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Ask<T> {
    type Rejection = ProblemResponse;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ProblemResponse> {
        let received = parts.extensions.get::<Received>();
        let body = received.map_or(&[][..], |Received(body)| body);
        let body = if body.is_empty() { b"{}" } else { body };
        serde_json::from_slice(body)
            .map(Self)
            .map_err(|error| malformed("body", error))
    }
}

/// A body in which there is nothing to say.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}
