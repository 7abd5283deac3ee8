//! The methods of a resource.

use std::convert::Infallible;

use axum::{
    http::{HeaderValue, StatusCode, header},
    routing::MethodRouter,
};

use crate::{ProblemResponse, ProblemType};

/// Makes a resource answer OPTIONS and unknown methods with its methods. `detail` is the text of
/// the problem for unknown methods. OPTIONS is not rate-limited, because browsers send it before
/// each PUT and web pages cannot prevent that.
pub fn with_methods<S: Clone + Send + Sync + 'static>(
    resource: MethodRouter<S, Infallible>,
    methods: &'static str,
    detail: &'static str,
) -> MethodRouter<S, Infallible> {
    let allow = [(header::ALLOW, HeaderValue::from_static(methods))];
    let options = (StatusCode::NO_CONTENT, allow.clone());
    resource.options(options).fallback(async move || {
        let problem = ProblemResponse::new(ProblemType::UnknownMethod, detail);
        (allow, problem)
    })
}
