//! Why requests are refused, as answers: the one place that knows the statuses of all errors.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use quorate_api::{PROBLEM_CONTENT_TYPE, Problem, ProblemType};
use quorate_http::{BodyError, retry_after, uncached};
use quorate_replica::{ReadError, Refusal};

/// When to come back where that may help, in seconds: elections and most changes are over by then.
const RETRY_AFTER_SECS: u64 = 1;

/// A problem as an answer.
#[derive(Debug)]
pub(crate) struct ProblemResponse(pub(crate) Problem);

impl ProblemResponse {
    pub(crate) fn new(problem_type: ProblemType, detail: impl Into<String>) -> Self {
        Self(Problem::new(problem_type, detail))
    }
}

impl IntoResponse for ProblemResponse {
    /// The response carries the [`ProblemType`] as an extension, for the audit log.
    fn into_response(self) -> Response {
        let Self(problem) = self;
        let problem_type = problem.problem_type;
        let status = StatusCode::from_u16(problem.status);
        let status = status.expect("the problems have statuses of HTTP");
        let mut response = uncached((status, Json(&problem)));
        let content_type = HeaderValue::from_static(PROBLEM_CONTENT_TYPE);
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, content_type);
        response.extensions_mut().insert(problem_type);
        if problem_type == ProblemType::NotAuthorized {
            let scheme = HeaderValue::from_static("Bearer");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, scheme);
        }
        match problem.retry {
            true => retry_after(response, RETRY_AFTER_SECS),
            false => response,
        }
    }
}

impl From<ReadError> for ProblemResponse {
    fn from(error: ReadError) -> Self {
        Self::new(ProblemType::Unavailable, error.to_string())
    }
}

impl From<Refusal> for ProblemResponse {
    fn from(refusal: Refusal) -> Self {
        let problem_type = match refusal {
            Refusal::NoLeader => ProblemType::NoLeader,
            Refusal::UnknownNode(_) => ProblemType::UnknownNode,
            Refusal::AmbiguousNode { .. } => ProblemType::AmbiguousNode,
            Refusal::NoLiveQuorum { .. } => ProblemType::NoLiveQuorum,
            Refusal::LastVoter => ProblemType::LastVoter,
            Refusal::Busy => ProblemType::Busy,
            Refusal::NotCaughtUp => ProblemType::NotCaughtUp,
            Refusal::Unfit(_) => ProblemType::UnfitNode,
            Refusal::BadAddress(_) => ProblemType::BadAddress,
            Refusal::InviteCount => ProblemType::InviteCount,
            Refusal::Unsupported => ProblemType::UnsupportedLevel,
            Refusal::Failed(_) => ProblemType::Unavailable,
            Refusal::Zone(_) => ProblemType::RefusedZone,
            Refusal::Publishing(_) => ProblemType::RefusedPolicy,
        };
        Self::new(problem_type, refusal.to_string())
    }
}

impl From<BodyError> for ProblemResponse {
    fn from(error: BodyError) -> Self {
        let problem_type = match error {
            BodyError::TooLong => ProblemType::TooLong,
            BodyError::Slow(_) | BodyError::Lost(_) => ProblemType::BadRequest,
        };
        Self::new(problem_type, error.to_string())
    }
}

/// The answer where there is nothing.
pub(crate) async fn unknown_path() -> ProblemResponse {
    let said = "there is nothing at this path: /v1/openapi.json lists what there is";
    ProblemResponse::new(ProblemType::UnknownPath, said)
}

/// The answer to a method that a path does not have; those it has, the router adds.
pub(crate) async fn unknown_method() -> ProblemResponse {
    let said = "this path has other methods: the header `Allow` lists them";
    ProblemResponse::new(ProblemType::UnknownMethod, said)
}
