//! Changes of a running node: reload of the configuration, and the log filter.

use axum::Json;
use quorate_api::{LogFilter, ProblemType, ReloadReport};
use quorate_http::{ProblemResponse, uncached};

use crate::{
    input::{EmptyBody, JsonBody, blocking},
    operations::operations,
};

operations! {
    "node";

    /// Reloads the configuration
    ///
    /// All files that it names are checked before anything changes.
    "operate" post RELOAD or RefusedReload {
        responses((status = 200, description = "What changed", body = ReloadReport)),
    }
    async fn reload(shared, JsonBody(EmptyBody {}): JsonBody<EmptyBody>) {
        let reloaded = blocking(move || shared.node.reload.reload()).await;
        let problem = |detail| ProblemResponse::new(ProblemType::RefusedReload, detail);
        Ok(uncached(Json(reloaded.map_err(problem)?)))
    }

    /// The log filter
    "read" get LOG_FILTER {
        responses((status = 200, description = "The current filter", body = LogFilter)),
    }
    async fn log_filter(shared) {
        let filter = shared.node.log.filter();
        Ok(uncached(Json(LogFilter { filter })))
    }

    /// Changes the log filter until the next reload or restart
    "operate" put LOG_FILTER {
        request_body = LogFilter,
        responses((status = 200, description = "The current filter", body = LogFilter)),
    }
    async fn set_log_filter(shared, JsonBody(LogFilter { filter }): JsonBody<LogFilter>) {
        let problem = |detail| ProblemResponse::new(ProblemType::BadRequest, detail);
        shared.node.log.set_filter(&filter).map_err(problem)?;
        let filter = shared.node.log.filter();
        Ok(uncached(Json(LogFilter { filter })))
    }
}

#[cfg(test)]
#[path = "runtime_tests.rs"]
mod tests;
