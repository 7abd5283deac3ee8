//! How the node is: status, digest and metrics.

use axum::{Json, http::header, response::IntoResponse};
use prometheus::{TEXT_FORMAT, TextEncoder};
use quorate_api::{NodeStatus, ProblemType, StateDigest};
use quorate_http::{ProblemResponse, uncached};

use crate::operations::operations;

operations! {
    "node";

    /// Figures for Prometheus
    ///
    /// In its text format, version 0.0.4.
    "metrics" get METRICS or Unavailable {
        responses((status = 200, description = "The figures", body = String, content_type = "text/plain")),
    }
    async fn metrics(shared) {
        shared.status_metrics.set(&shared.node.replica.status());
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
    "read" get STATUS {
        responses((status = 200, description = "How it is", body = NodeStatus)),
    }
    async fn status(shared) {
        Ok(uncached(Json(shared.node.replica.status())))
    }

    /// A digest over all that this node holds
    ///
    /// Reads every packet.
    "read" get DIGEST or Unavailable {
        responses((status = 200, description = "The digest", body = StateDigest)),
    }
    async fn digest(shared) {
        let _permit = shared.digesting.lock().await;
        Ok(uncached(Json(shared.node.replica.digest().await?)))
    }
}
