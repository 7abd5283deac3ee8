//! What can be changed while a node runs: its settings, as far as they allow it, and its log.

use std::sync::Arc;

use axum::{Json, extract::State, response::Response};
use quorate_api::{LogFilter, ProblemType, ReloadReport, path};
use quorate_http::{ProblemResponse, uncached};

use crate::{
    input::{Ask, Nothing},
    refusals::{ReadProblems, ReloadProblems, RequestProblems},
    shared::Shared,
};

/// Reads the configuration again
///
/// Whatever it refers to is checked before anything changes.
#[utoipa::path(
    post,
    path = path::RELOAD,
    tag = "node",
    security((), ("token" = ["operate"])),
    responses((status = 200, description = "What changed", body = ReloadReport), ReloadProblems),
)]
pub(crate) async fn reload(
    State(shared): State<Arc<Shared>>,
    Ask(Nothing {}): Ask<Nothing>,
) -> Result<Response, ProblemResponse> {
    let reloading = tokio::task::spawn_blocking(move || shared.node.reload.reload());
    let reloaded = match reloading.await {
        Ok(reloaded) => reloaded,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    };
    match reloaded {
        Ok(report) => Ok(uncached(Json(report))),
        Err(said) => Err(ProblemResponse::new(ProblemType::RefusedReload, said)),
    }
}

/// What is logged
#[utoipa::path(
    get,
    path = path::LOG_FILTER,
    tag = "node",
    security((), ("token" = ["read"])),
    responses((status = 200, description = "The filter that holds", body = LogFilter), ReadProblems),
)]
pub(crate) async fn log_filter(State(shared): State<Arc<Shared>>) -> Response {
    let filter = shared.node.log.filter();
    uncached(Json(LogFilter { filter }))
}

/// Changes what is logged, until the next reload or start
#[utoipa::path(
    put,
    path = path::LOG_FILTER,
    tag = "node",
    security((), ("token" = ["operate"])),
    request_body = LogFilter,
    responses((status = 200, description = "The filter that holds", body = LogFilter), RequestProblems),
)]
pub(crate) async fn set_log_filter(
    State(shared): State<Arc<Shared>>,
    Ask(LogFilter { filter }): Ask<LogFilter>,
) -> Result<Response, ProblemResponse> {
    let refused = |said| ProblemResponse::new(ProblemType::BadRequest, said);
    shared.node.log.set_filter(&filter).map_err(refused)?;
    let filter = shared.node.log.filter();
    Ok(uncached(Json(LogFilter { filter })))
}

#[cfg(test)]
#[path = "runtime_tests.rs"]
mod tests;
