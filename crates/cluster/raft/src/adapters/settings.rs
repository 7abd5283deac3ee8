//! The settings of openraft.

use openraft::{ConfigError, SnapshotPolicy};

use crate::{RaftConfig, RaftSettings};

/// The most entries in one AppendEntries; their bytes are bounded too.
const APPEND_COUNT_MAX: u64 = 1024;

/// The longest time for a complete snapshot in openraft, in milliseconds. Each piece has its own,
/// shorter limit.
const SNAPSHOT_TIMEOUT_MS: u64 = 3_600_000;

impl TryFrom<&RaftConfig> for openraft::Config {
    type Error = ConfigError;

    fn try_from(config: &RaftConfig) -> Result<Self, ConfigError> {
        let RaftSettings {
            heartbeat_ms,
            election_timeout_min_ms,
            election_timeout_max_ms,
            ..
        } = config.settings.raft;
        Self {
            cluster_name: "quorate".to_owned(),
            heartbeat_interval: heartbeat_ms,
            election_timeout_min: election_timeout_min_ms,
            election_timeout_max: election_timeout_max_ms,
            enable_pre_vote: Some(true),
            // Without it a leader that has lost its quorum keeps the others from electing a new one
            // with its heartbeats (openraft #2080). At least the lease, which is the longest
            // election timeout, plus an election timeout.
            quorum_loss_probe_interval: Some(2 * election_timeout_max_ms),
            // A member that lost its disk returns with an empty log. It does not vote before it has
            // caught up.
            allow_log_reversion: Some(true),
            // A restarted leader becomes a candidate like every other node.
            enable_leader_restore: Some(false),
            // Checkpoints depend on size and time, which openraft does not know.
            snapshot_policy: SnapshotPolicy::Never,
            // Purges also depend on the snapshots that are being sent.
            max_in_snapshot_log_to_keep: u64::MAX,
            // A follower is sent a snapshot only when the entries that it needs are purged.
            replication_lag_threshold: u64::MAX,
            max_payload_entries: APPEND_COUNT_MAX,
            install_snapshot_timeout: SNAPSHOT_TIMEOUT_MS,
            ..Self::default()
        }
        .validate()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Profile;

    #[test]
    fn openraft_accepts_every_profile() {
        let mut config = RaftConfig::numbered(1, [].into(), "/data".into());
        for profile in [Profile::Lan, Profile::Wan] {
            let raft = &mut config.settings.raft;
            raft.profile = profile;
            for (_, number, of_profile) in raft.of_profile() {
                *number = of_profile;
            }
            openraft::Config::try_from(&config).unwrap();
        }
    }
}
