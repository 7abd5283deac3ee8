//! What can be changed while a node runs.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where these are.
pub(crate) mod path {
    /// Reads the configuration again. POST.
    pub const RELOAD: &str = "/v1/reload";
    /// What is logged. GET and PUT.
    pub const LOG_FILTER: &str = "/v1/log-filter";
}

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
