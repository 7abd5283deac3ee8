//! How the node is: status, digest and metrics.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use prometheus::{TEXT_FORMAT, TextEncoder};
use quorate_api::{Digest, ProblemType, Status, path};
use quorate_http::{ProblemResponse, uncached};

use crate::{
    refusals::{DigestProblems, ReadProblems},
    shared::Shared,
};

/// Figures for Prometheus
///
/// In its text format, version 0.0.4.
#[utoipa::path(
    get,
    path = path::METRICS,
    tag = "node",
    security((), ("token" = ["metrics"])),
    responses((status = 200, description = "The figures", body = String, content_type = "text/plain"), DigestProblems),
)]
pub(crate) async fn metrics(
    State(shared): State<Arc<Shared>>,
) -> Result<Response, ProblemResponse> {
    shared.status_metrics.set(&shared.node.observer.status());
    let families = shared.node.registry.gather();
    let text = TextEncoder::new().encode_to_string(&families);
    let text = text.map_err(|error| {
        let said = format!("the metrics cannot be written as text: {error}");
        tracing::error!("{said}");
        ProblemResponse::new(ProblemType::Unavailable, said)
    })?;
    Ok(([(header::CONTENT_TYPE, TEXT_FORMAT)], text).into_response())
}

/// How this node is
#[utoipa::path(
    get,
    path = path::STATUS,
    tag = "node",
    security((), ("token" = ["read"])),
    responses((status = 200, description = "How it is", body = Status), ReadProblems),
)]
pub(crate) async fn status(State(shared): State<Arc<Shared>>) -> Response {
    uncached(Json(shared.node.observer.status()))
}

/// A digest over all that this node holds
///
/// Reads every packet.
#[utoipa::path(
    get,
    path = path::DIGEST,
    tag = "node",
    security((), ("token" = ["read"])),
    responses((status = 200, description = "The digest", body = Digest), DigestProblems),
)]
pub(crate) async fn digest(State(shared): State<Arc<Shared>>) -> Result<Response, ProblemResponse> {
    let _permit = shared.digesting.lock().await;
    Ok(uncached(Json(shared.node.observer.digest().await?)))
}
