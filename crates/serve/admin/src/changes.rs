//! What has changed in packets, entry by entry.

use std::sync::Arc;

use axum::{Json, extract::State, response::Response};
use quorate_api as api;
use quorate_api::{CHANGE_COUNT_DEFAULT, CHANGE_COUNT_MAX, PacketChanges, ProblemType, path};
use quorate_http::{ProblemResponse, uncached};
use quorate_replica::{ChangeKind, LogIndex, PacketChange};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{input::Params, refusals::ChangesProblems, shared::Shared};

/// Which changes are asked for.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ChangesQuery {
    /// The entry behind which they begin: `next` of the answer before. At first, `applied_index` of
    /// `/v1/status`, read before all packets are.
    since: u64,
    /// How many there are at most, but for those of one entry: 1 to 1000, 100 if nobody says.
    #[param(minimum = 1, maximum = 1000)]
    count: Option<usize>,
}

/// What has changed in packets behind an entry of the log
///
/// Any node can be asked to go on: entries have one index on all. A node remembers the last changes that
/// it has applied, and none from before it started or was given a snapshot.
#[utoipa::path(
    get,
    path = path::CHANGES,
    tag = "packets",
    security((), ("token" = ["read"])),
    params(ChangesQuery),
    responses((status = 200, description = "The changes", body = PacketChanges), ChangesProblems),
)]
pub(crate) async fn changes(
    State(shared): State<Arc<Shared>>,
    Params(query): Params<ChangesQuery>,
) -> Result<Response, ProblemResponse> {
    let count = query.count.unwrap_or(CHANGE_COUNT_DEFAULT);
    if !(1..=CHANGE_COUNT_MAX).contains(&count) {
        let said = format!("`count` is {count}, and may be from 1 to {CHANGE_COUNT_MAX}");
        return Err(ProblemResponse::new(ProblemType::BadRequest, said));
    }
    let since = LogIndex(query.since);
    let changes = shared.node.watcher.changes_since(since, count);
    let changes = changes
        .map_err(|error| ProblemResponse::new(ProblemType::ChangesLost, error.to_string()))?;
    Ok(uncached(Json(PacketChanges {
        changes: changes.changes.iter().map(told).collect(),
        next: changes.next.0,
    })))
}

fn told(change: &PacketChange) -> api::PacketChange {
    api::PacketChange {
        index: change.index.0,
        key: change.key.to_string(),
        kind: match change.kind {
            ChangeKind::Stored => api::ChangeKind::Stored,
            ChangeKind::Deleted => api::ChangeKind::Deleted,
        },
    }
}

#[cfg(test)]
#[path = "changes_tests.rs"]
mod tests;
