//! Changes of a running node: reload of the configuration, and the log filter.

use axum::Json;
use quorate_api::{
    ChangeSettings, LogFilter, NodeStatus, ProblemType, ReloadReport, SettingsRequest,
};
use quorate_http::{ProblemResponse, uncached};
use quorate_replica::SettingsChange;

use crate::{
    authorize::CallerName,
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

    /// Changes settings on which the cluster has agreed
    ///
    /// They apply on all nodes; what the configuration of a node says about them does not matter.
    "operate" post SETTINGS sends ChangeSettings {
        request_body = SettingsRequest,
        responses((status = 200, description = "The status of this node now", body = NodeStatus)),
    }
    async fn settings(shared, caller: CallerName, JsonBody(request): JsonBody<SettingsRequest>) {
        let change = SettingsChange {
            count_max: request.count_max,
            size_max: request.size_max,
            retention_secs: request.retention_secs,
        };
        if change == SettingsChange::default() {
            let detail = "the request names no setting";
            return Err(ProblemResponse::new(ProblemType::RefusedSettings, detail));
        }
        let may_delete = request.may_delete;
        shared.submit(&caller, ChangeSettings { change, may_delete }).await?;
        Ok(uncached(Json(shared.node.replica.status())))
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
