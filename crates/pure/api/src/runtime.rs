//! Settings that can be changed while a node runs.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The paths of these requests.
pub(crate) mod path {
    /// Reloads the configuration. POST.
    pub const RELOAD: &str = "/v1/reload";
    /// The log filter. GET and PUT.
    pub const LOG_FILTER: &str = "/v1/log-filter";
}

/// The result of reloading the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReloadReport {
    /// The settings that changed and are in force now.
    pub changed: Vec<String>,
    /// The settings that changed and take effect at the next start.
    pub needs_restart: Vec<String>,
}

/// The log filter: which lines are logged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LogFilter {
    /// Levels by target: `info`, or `info,quorate_raft=debug`.
    pub filter: String,
}
