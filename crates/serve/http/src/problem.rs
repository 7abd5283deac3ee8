//! Problem documents (RFC 9457) as responses.

use std::fmt;

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use quorate_api::{PROBLEM_CONTENT_TYPE, Problem, ProblemType};

use crate::response::{retry_after, uncached};

/// When to retry if that may help, in seconds: elections and most changes take less.
const RETRY_AFTER_SECS: u64 = 1;

/// The response to a failed request. Caches may not keep it. Its [`ProblemType`] is also an
/// extension of the response, for the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProblemResponse {
    problem: Problem,
    retry_after_secs: Option<u64>,
}

impl ProblemResponse {
    /// A problem of this type. `detail` says what is wrong with this request, and what to do about
    /// it.
    pub fn new(problem_type: ProblemType, detail: impl fmt::Display) -> Self {
        Problem::new(problem_type, detail.to_string()).into()
    }

    /// The same problem with `Retry-After`: after so many seconds the request may succeed.
    pub fn retry_after(self, secs: u64) -> Self {
        Self {
            retry_after_secs: Some(secs),
            ..self
        }
    }
}

impl<E: Into<Problem>> From<E> for ProblemResponse {
    fn from(problem: E) -> Self {
        let problem = problem.into();
        Self {
            retry_after_secs: problem.retry.then_some(RETRY_AFTER_SECS),
            problem,
        }
    }
}

impl IntoResponse for ProblemResponse {
    fn into_response(self) -> Response {
        let Self {
            problem,
            retry_after_secs,
        } = self;
        let status = StatusCode::from_u16(problem.status);
        let status = status.expect("every problem has a valid HTTP status");
        let mut response = uncached((status, Json(&problem)));
        let content_type = HeaderValue::from_static(PROBLEM_CONTENT_TYPE);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, content_type);
        if problem.problem_type == ProblemType::NotAuthorized {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(problem.problem_type);
        match retry_after_secs {
            Some(secs) => retry_after(response, secs),
            None => response,
        }
    }
}

#[cfg(test)]
#[path = "problem_tests.rs"]
mod tests;
