//! Which methods a resource has.

use std::convert::Infallible;

use axum::{
    http::{HeaderValue, StatusCode, header},
    routing::MethodRouter,
};

use crate::{ProblemResponse, ProblemType};

/// Has a resource say by OPTIONS which methods it has, and to every other method too; `said` is what
/// it says then. OPTIONS costs no quota: a browser asks before each PUT, and the client cannot see to
/// it.
pub fn with_methods<S: Clone + Send + Sync + 'static>(
    resource: MethodRouter<S, Infallible>,
    methods: &'static str,
    said: &'static str,
) -> MethodRouter<S, Infallible> {
    let allow = [(header::ALLOW, HeaderValue::from_static(methods))];
    let options = (StatusCode::NO_CONTENT, allow.clone());
    resource.options(options).fallback(async move || {
        let problem = ProblemResponse::new(ProblemType::UnknownMethod, said);
        (allow, problem)
    })
}
