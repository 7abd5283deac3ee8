//! What can be changed while a node runs.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What came of reading the configuration again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReloadReport {
    /// The settings that changed and hold from now on.
    pub changed: Vec<String>,
    /// The settings that changed and hold from the next start on.
    pub needs_restart: Vec<String>,
}

/// What is logged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LogFilter {
    /// Levels by target: `info`, or `info,quorate_raft=debug`.
    pub filter: String,
}
