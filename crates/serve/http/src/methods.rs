//! Which methods a resource has.

use std::fmt::Display;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::{ProblemResponse, ProblemType};

/// The answer to OPTIONS at a resource that has these methods.
pub fn options(methods: HeaderValue) -> Response {
    (StatusCode::NO_CONTENT, [(header::ALLOW, methods)]).into_response()
}

/// The answer to a method that a resource does not have, with those it has.
pub fn method_not_allowed(methods: HeaderValue, said: impl Display) -> Response {
    let problem = ProblemResponse::new(ProblemType::UnknownMethod, said);
    ([(header::ALLOW, methods)], problem).into_response()
}
