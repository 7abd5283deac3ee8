//! Settings that can be changed while a node runs.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The paths of these requests.
pub(crate) mod path {
    /// Reloads the configuration. POST.
    pub const RELOAD: &str = "/v1/reload";
    /// The settings on which the cluster has agreed. POST changes them; `/v1/status` has them.
    pub const SETTINGS: &str = "/v1/settings";
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

/// Asks to change settings on which the cluster has agreed. What is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SettingsRequest {
    /// The most packets that the cluster stores.
    #[serde(
        rename = "packets.count_max",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub count_max: Option<u64>,
    /// The size of all packets at which no further key is accepted, in bytes.
    #[serde(
        rename = "packets.size_max",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub size_max: Option<u64>,
    /// How long a packet is kept after it was last received, in seconds.
    #[serde(
        rename = "packets.retention_secs",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub retention_secs: Option<u64>,
    /// Whether stored packets may be deleted by it.
    #[serde(default)]
    pub may_delete: bool,
}

/// The log filter: which lines are logged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LogFilter {
    /// Levels by target: `info`, or `info,quorate_raft=debug`.
    pub filter: String,
}
