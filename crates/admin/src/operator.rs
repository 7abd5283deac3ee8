//! Metrics and status, for operators.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus::{Registry, TEXT_FORMAT, TextEncoder};
use quorate_http::{text, uncached};
use quorate_replica::Observer;
use tokio::sync::Mutex;

use crate::{Build, health_router, status_metrics::StatusMetrics};

/// All routes of the admin address, health included. `/metrics` shows what `registry` holds, where
/// the figures of the status are registered here.
pub fn router(
    replica: Arc<dyn Observer>,
    registry: Registry,
    build: Build,
) -> Result<Router, quorate_metrics::Error> {
    let shared = Arc::new(Shared {
        replica: replica.clone(),
        status: StatusMetrics::register(&registry)?,
        registry,
        digesting: Mutex::new(()),
    });
    Ok(Router::new()
        .route("/metrics", get(metrics))
        .route("/v1/status", get(status))
        .route("/v1/digest", get(digest))
        .with_state(shared)
        .merge(health_router(replica, build)))
}

struct Shared {
    replica: Arc<dyn Observer>,
    registry: Registry,
    status: StatusMetrics,
    /// Held by the one digest that is made at a time, since it reads everything.
    digesting: Mutex<()>,
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    shared.status.set(&shared.replica.status());
    match TextEncoder::new().encode_to_string(&shared.registry.gather()) {
        Ok(text) => ([(header::CONTENT_TYPE, TEXT_FORMAT)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be written as text");
            let said = format!("the metrics cannot be written as text: {error}");
            uncached(text(StatusCode::INTERNAL_SERVER_ERROR, said))
        }
    }
}

async fn status(State(shared): State<Arc<Shared>>) -> Response {
    uncached(Json(shared.replica.status()))
}

async fn digest(State(shared): State<Arc<Shared>>) -> Response {
    let _permit = shared.digesting.lock().await;
    match shared.replica.digest().await {
        Ok(digest) => uncached(Json(digest)),
        Err(error) => uncached(text(StatusCode::SERVICE_UNAVAILABLE, error)),
    }
}
