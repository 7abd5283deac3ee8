//! What a backup contains besides packets, in numbers.

use quorate_state::{ClusterState, UnixMillis};
use serde::Serialize;

/// What a backup contains besides packets, in numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Contents {
    pub zones: usize,
    /// The replicated records of all zones.
    pub records: usize,
    /// Who may publish, among keys that are not denied.
    pub publish_mode: String,
    pub allowed_keys: usize,
    pub denied_keys: usize,
    pub publish_tokens: usize,
    pub deletions: usize,
    /// How many of the deletions block their key after the cluster time of the backup.
    pub blocks: usize,
    pub packet_count_max: Option<u64>,
    pub packets_size_max: Option<u64>,
    pub retention_secs: Option<u64>,
}

impl Contents {
    /// Counts what is in the replicated state.
    pub fn of(state: &ClusterState) -> Self {
        let publishing = &state.publishing;
        let sets = state
            .zones
            .zones
            .values()
            .flat_map(|zone| zone.sets.values());
        let now = state.time.last_in_log().unwrap_or(UnixMillis(0));
        let is_block = |until: &UnixMillis| *until > now;
        let deletions = publishing.deleted.values();
        Self {
            zones: state.zones.zones.len(),
            records: sets.map(|set| set.rdata.len()).sum(),
            publish_mode: publishing.mode.to_string(),
            allowed_keys: publishing.allowed.len(),
            denied_keys: publishing.denied.len(),
            publish_tokens: publishing.tokens.len(),
            deletions: publishing.deleted.len(),
            blocks: deletions
                .filter(|deletion| deletion.blocked_until.as_ref().is_some_and(is_block))
                .count(),
            packet_count_max: state.capacity.map(|capacity| capacity.count_max),
            packets_size_max: state.capacity.map(|capacity| capacity.size_max),
            retention_secs: state.retention_secs,
        }
    }
}
