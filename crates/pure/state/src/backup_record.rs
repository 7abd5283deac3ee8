//! What the cluster knows about its scheduled backups.

use serde::{Deserialize, Serialize};

use crate::{
    CommandError, NodeId, Rejection, UnixMillis,
    codec::{fields, kinds},
};

/// The longest name of a backup file, in bytes: what common file systems allow.
pub const BACKUP_NAME_SIZE_MAX: usize = 255;

/// The longest text of a failed backup, in bytes: a line of `quorate status`. A longer one is cut.
pub const BACKUP_ERROR_SIZE_MAX: usize = 256;

/// The result of one scheduled backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupRecord {
    /// The cluster time at which the leader learned of it.
    pub at: UnixMillis,
    /// The node that tried.
    pub node: NodeId,
    pub result: BackupResult,
}

/// Whether a backup was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackupResult {
    /// The file is at the target, was read back and verified.
    Saved(SavedBackup),
    /// There is no new file, for this reason.
    Failed(String),
}

/// A verified backup file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedBackup {
    /// Its name at the target.
    pub name: String,
    /// In bytes.
    pub size: u64,
    pub packet_count: u64,
    /// From the start of the backup to its verification.
    pub duration_ms: u64,
}

/// The last successful and the last failed scheduled backup. The default is a cluster that has tried none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LastBackup {
    pub saved: Option<BackupRecord>,
    pub failed: Option<BackupRecord>,
    /// How many have failed since the last success. The next turn depends on it.
    pub failure_count: u32,
}

kinds! {
    BackupResult, |_| CommandError::Truncated,
    1u8 => Saved(saved),
    2u8 => Failed(error),
}

fields! {
    BackupRecord { at, node, result }
    SavedBackup { name, size, packet_count, duration_ms }
    LastBackup { saved, failed, failure_count }
}

impl BackupResult {
    /// A failure, with its text cut to the bound.
    pub fn failed(error: &str) -> Self {
        Self::Failed(error[..error.floor_char_boundary(BACKUP_ERROR_SIZE_MAX)].to_owned())
    }

    /// Whether its texts are within their bounds.
    pub fn is_bounded(&self) -> bool {
        match self {
            Self::Saved(saved) => saved.name.len() <= BACKUP_NAME_SIZE_MAX,
            Self::Failed(error) => error.len() <= BACKUP_ERROR_SIZE_MAX,
        }
    }
}

impl LastBackup {
    /// Records a backup. One that exceeds its bounds changes nothing.
    pub(crate) fn record(&mut self, record: BackupRecord) -> Result<(), Rejection> {
        if !record.result.is_bounded() {
            return Err(Rejection::BackupRecord);
        }
        match record.result {
            BackupResult::Saved(_) => {
                self.saved = Some(record);
                self.failure_count = 0;
            }
            BackupResult::Failed(_) => {
                self.failed = Some(record);
                self.failure_count = self.failure_count.saturating_add(1);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ClusterState, Command};

    fn saved(at: u64, name: &str) -> BackupRecord {
        BackupRecord {
            at: UnixMillis(at),
            node: NodeId(quorate_packet::PublicKey::from_bytes([1; 32])),
            result: BackupResult::Saved(SavedBackup {
                name: name.to_owned(),
                size: 9,
                packet_count: 2,
                duration_ms: 5,
            }),
        }
    }

    fn failed(at: u64) -> BackupRecord {
        BackupRecord {
            result: BackupResult::failed("the target refused"),
            ..saved(at, "")
        }
    }

    #[test]
    fn a_failure_is_kept_beside_the_last_success() {
        let mut cluster = ClusterState::default();
        for record in [saved(1, "a"), failed(2), failed(3)] {
            assert_eq!(cluster.last_backup.record(record), Ok(()));
        }
        let last = &cluster.last_backup;
        assert_eq!(last.saved, Some(saved(1, "a")));
        assert_eq!((&last.failed, last.failure_count), (&Some(failed(3)), 2));
        cluster.last_backup.record(saved(4, "b")).unwrap();
        assert_eq!(cluster.last_backup.failure_count, 0);
        assert_eq!(cluster.last_backup.failed, Some(failed(3)));
    }

    #[test]
    fn a_record_beyond_its_bounds_is_rejected_and_changes_nothing() {
        let mut cluster = ClusterState::default();
        let long = saved(1, &"n".repeat(BACKUP_NAME_SIZE_MAX + 1));
        let rejected = Err(Rejection::BackupRecord);
        assert_eq!(cluster.last_backup.record(long), rejected);
        assert_eq!(cluster, ClusterState::default());
    }

    #[test]
    fn a_long_error_is_cut_between_characters() {
        let cut = BackupResult::failed(&"\u{e9}x\u{e9}".repeat(100));
        assert!(cut.is_bounded(), "{cut:?}");
    }

    #[test]
    fn commands_and_states_with_backups_decode_to_themselves() {
        for record in [saved(1, "a"), failed(2)] {
            let command = Command::RecordBackup(record.clone());
            assert_eq!(Command::decode(command.encode()).unwrap(), command);
            let mut cluster = ClusterState::default();
            cluster.last_backup.record(record).unwrap();
            let bytes = cluster.encode();
            assert_eq!(ClusterState::decode(&bytes).unwrap(), (cluster, &[][..]));
        }
    }

    #[test]
    fn the_state_for_another_cluster_has_no_backups() {
        let mut cluster = ClusterState::default();
        cluster.last_backup.record(saved(1, "a")).unwrap();
        assert_eq!(cluster.without_secrets().last_backup, LastBackup::default());
    }
}
