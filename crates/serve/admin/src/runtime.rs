//! What can be changed while a node runs: its settings, as far as they allow it, and its log.

use axum::Json;
use quorate_api::{LogFilter, ProblemType, ReloadReport};
use quorate_http::{ProblemResponse, uncached};

use crate::{
    input::{Ask, Nothing, blocking},
    operations::operations,
};

operations! {
    "node";

    /// Reads the configuration again
    ///
    /// Whatever it refers to is checked before anything changes.
    "operate" post RELOAD or RefusedReload {
        responses((status = 200, description = "What changed", body = ReloadReport)),
    }
    async fn reload(shared, Ask(Nothing {}): Ask<Nothing>) {
        let reloaded = blocking(move || shared.node.reload.reload()).await;
        let refused = |said| ProblemResponse::new(ProblemType::RefusedReload, said);
        Ok(uncached(Json(reloaded.map_err(refused)?)))
    }

    /// What is logged
    "read" get LOG_FILTER {
        responses((status = 200, description = "The filter that holds", body = LogFilter)),
    }
    async fn log_filter(shared) {
        let filter = shared.node.log.filter();
        Ok(uncached(Json(LogFilter { filter })))
    }

    /// Changes what is logged, until the next reload or start
    "operate" put LOG_FILTER {
        request_body = LogFilter,
        responses((status = 200, description = "The filter that holds", body = LogFilter)),
    }
    async fn set_log_filter(shared, Ask(LogFilter { filter }): Ask<LogFilter>) {
        let refused = |said| ProblemResponse::new(ProblemType::BadRequest, said);
        shared.node.log.set_filter(&filter).map_err(refused)?;
        let filter = shared.node.log.filter();
        Ok(uncached(Json(LogFilter { filter })))
    }
}

#[cfg(test)]
#[path = "runtime_tests.rs"]
mod tests;
