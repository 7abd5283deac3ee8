//! Which packets have changed, by log entry.

use axum::Json;
use quorate_api::{CHANGE_COUNT_DEFAULT, CHANGE_COUNT_MAX, Changes, ProblemType};
use quorate_http::{ProblemResponse, uncached};
use quorate_replica::LogIndex;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    input::{QueryParams, check_range},
    operations::operations,
};

/// The query for changes.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ChangesQuery {
    /// The changes after this log entry: `next` of the previous answer. For the first request,
    /// `applied_index` of `/v1/status`, read before all packets are read.
    since: u64,
    /// The most changes of the answer, except that those of one entry are never split: 1 to 1000,
    /// by default 100.
    #[param(minimum = 1, maximum = 1000)]
    count: Option<usize>,
    /// `cluster` of the previous answer, or of `/v1/status`. If the packets come from a backup or from a
    /// recovery since, the cluster has another id, and the answer is 410.
    cluster: Option<String>,
}

operations! {
    "packets";

    /// Which packets have changed after a log entry
    ///
    /// The next request can go to any node, because an entry has the same index on all nodes. A
    /// node remembers the last changes that it has applied, and none from before it started or
    /// received a snapshot.
    "read" get CHANGES or ChangesLost {
        params(ChangesQuery),
        responses((status = 200, description = "The changes", body = Changes)),
    }
    async fn changes(shared, QueryParams(query): QueryParams<ChangesQuery>) {
        let count = query.count.unwrap_or(CHANGE_COUNT_DEFAULT);
        let count = check_range("count", count, 1..=CHANGE_COUNT_MAX)?;
        let since = LogIndex(query.since);
        let cluster = shared.node.replica.status().cluster;
        if query.cluster.is_some() && query.cluster != cluster {
            let detail = "the entry is of another cluster, from which this one was restored or recovered: list \
                all packets, and continue from there";
            return Err(ProblemResponse::new(ProblemType::ChangesLost, detail));
        }
        let changes = shared.node.replica.changes_since(since, count);
        let changes = changes
            .map_err(|error| ProblemResponse::new(ProblemType::ChangesLost, error.to_string()))?;
        Ok(uncached(Json(Changes { cluster, ..changes })))
    }
}

#[cfg(test)]
#[path = "changes_tests.rs"]
mod tests;
