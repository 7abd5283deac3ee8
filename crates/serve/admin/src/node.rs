//! The status, digest and metrics of the node.

use axum::{Json, body::Body, http::header, response::IntoResponse};
use prometheus::{TEXT_FORMAT, TextEncoder};
use quorate_api::{BACKUP_CONTENT_TYPE, NodeStatus, ProblemType, StateDigest};
use quorate_http::{ProblemResponse, uncached};

use crate::operations::operations;

operations! {
    "node";

    /// Metrics for Prometheus
    ///
    /// In the Prometheus text format, version 0.0.4.
    "metrics" get METRICS or Unavailable {
        responses((status = 200, description = "The metrics", body = String, content_type = "text/plain")),
    }
    async fn metrics(shared) {
        shared.status_metrics.set(&shared.node.replica.status());
        let families = shared.node.registry.gather();
        let text = TextEncoder::new().encode_to_string(&families);
        let text = text.map_err(|error| {
            let detail = format!("the metrics cannot be written as text: {error}");
            tracing::error!("{detail}");
            ProblemResponse::new(ProblemType::Unavailable, detail)
        })?;
        Ok(([(header::CONTENT_TYPE, TEXT_FORMAT)], text).into_response())
    }

    /// The status of this node
    "read" get STATUS {
        responses((status = 200, description = "The status", body = NodeStatus)),
    }
    async fn status(shared) {
        Ok(uncached(Json(shared.node.replica.status())))
    }

    /// A digest of everything that this node stores
    ///
    /// It reads every packet.
    "read" get DIGEST or Unavailable {
        responses((status = 200, description = "The digest", body = StateDigest)),
    }
    async fn digest(shared) {
        let _permit = shared.digesting.lock().await;
        Ok(uncached(Json(shared.node.replica.digest().await?)))
    }

    /// A backup of everything that this node stores
    ///
    /// It needs no leader, and contains no secret. A connection that ends early means that the
    /// backup is not complete.
    "operate" post BACKUP or Busy or Unavailable {
        responses((status = 200, description = "The file", body = Vec<u8>, content_type = "application/vnd.quorate.backup")),
    }
    async fn backup(shared) {
        let bytes = shared.node.backups.start().await?.ok_or_else(|| {
            let detail = "this node is making another backup: wait until that is done";
            ProblemResponse::new(ProblemType::Busy, detail)
        })?;
        let content_type = [(header::CONTENT_TYPE, BACKUP_CONTENT_TYPE)];
        Ok(uncached((content_type, Body::from_stream(bytes))))
    }
}
