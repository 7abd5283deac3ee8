//! What has changed in packets, entry by entry.

use axum::Json;
use quorate_api::{CHANGE_COUNT_DEFAULT, CHANGE_COUNT_MAX, Changes, ProblemType};
use quorate_http::{ProblemResponse, uncached};
use quorate_replica::LogIndex;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    input::{Params, check_range},
    operations::operations,
};

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

operations! {
    "packets";

    /// What has changed in packets behind an entry of the log
    ///
    /// Any node can be asked to go on: entries have one index on all. A node remembers the last changes that
    /// it has applied, and none from before it started or was given a snapshot.
    "read" get CHANGES or ChangesLost {
        params(ChangesQuery),
        responses((status = 200, description = "The changes", body = Changes)),
    }
    async fn changes(shared, Params(query): Params<ChangesQuery>) {
        let count = query.count.unwrap_or(CHANGE_COUNT_DEFAULT);
        let count = check_range("count", count, 1..=CHANGE_COUNT_MAX)?;
        let since = LogIndex(query.since);
        let changes = shared.node.replica.changes_since(since, count);
        let changes = changes
            .map_err(|error| ProblemResponse::new(ProblemType::ChangesLost, error.to_string()))?;
        Ok(uncached(Json(changes)))
    }
}

#[cfg(test)]
#[path = "changes_tests.rs"]
mod tests;
