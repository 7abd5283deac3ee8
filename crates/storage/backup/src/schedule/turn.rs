//! When a backup is due, and which node makes it.

use std::time::Duration;

use quorate_state::{BackupRecord, BackupResult, LastBackup, NodeId, UnixMillis, millis};

/// The longest turn of a node, unless backups take long. One of a million packets takes a minute or two to write,
/// upload and verify; after ten minutes, the node is probably gone.
pub const PATIENCE_MAX: Duration = Duration::from_secs(10 * 60);

/// The shortest turn, so that a node with little to do can finish before the next one starts.
pub const PATIENCE_MIN: Duration = Duration::from_secs(2);

/// How many times as long as the last backup a turn is at least: slower nodes must not overlap.
const TURNS_PER_BACKUP: u64 = 3;

/// The rule by which all nodes with the same state find the same node.
///
/// A backup is due one interval after the last success. After a failure it is due again one turn later, at
/// another node. A turn is half an interval, from [`PATIENCE_MIN`] to [`PATIENCE_MAX`], or three times as long as the
/// last backup took if that is longer; if it passes without a record, the next node has its turn. Two nodes may disagree for a moment, when the leader changes: then
/// there are two backups, which does no harm.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    /// The time from one backup to the next.
    pub interval: Duration,
}

impl Schedule {
    /// How long a node has its turn before the next one follows.
    pub fn patience(&self, last: &LastBackup) -> Duration {
        let patience = (self.interval / 2).clamp(PATIENCE_MIN, PATIENCE_MAX);
        let took_ms = match &last.saved {
            Some(BackupRecord {
                result: BackupResult::Saved(saved),
                ..
            }) => saved.duration_ms,
            _ => 0,
        };
        patience.max(Duration::from_millis(
            took_ms.saturating_mul(TURNS_PER_BACKUP),
        ))
    }

    /// From when on a backup is due, in cluster time `now`.
    ///
    /// A cluster without any backup has no time to count from, so multiples of the interval are used:
    /// otherwise every node would find that all turns have passed.
    pub fn due_at(&self, last: &LastBackup, now: UnixMillis) -> UnixMillis {
        let interval = millis(self.interval).max(1);
        let first = UnixMillis(now.0 - now.0 % interval);
        let due = match &last.saved {
            Some(saved) => UnixMillis(saved.at.0.saturating_add(interval)),
            None => first,
        };
        match (&last.failed, last.failure_count) {
            (Some(failed), 1..) => {
                let retry = failed.at.0.saturating_add(millis(self.patience(last)));
                match last.saved {
                    Some(_) => due.max(UnixMillis(retry)),
                    None => UnixMillis(retry),
                }
            }
            _ => due,
        }
    }

    /// The node that should make a backup now. `None` if none is due, or without a leader: its result could
    /// not be recorded.
    pub fn turn(
        &self,
        voters: &[NodeId],
        leader: Option<NodeId>,
        last: &LastBackup,
        now: UnixMillis,
    ) -> Option<NodeId> {
        let leader = leader?;
        let late = now.0.checked_sub(self.due_at(last, now).0)?;
        let mut order: Vec<NodeId> = voters.to_vec();
        // A backup costs disk and CPU, which the leader needs for every PUT.
        order.sort_unstable_by_key(|node| (*node == leader, *node));
        let turns = (late / millis(self.patience(last))).saturating_add(last.failure_count.into());
        let at = turns.checked_rem(u64::try_from(order.len()).ok()?)?;
        order.get(usize::try_from(at).ok()?).copied()
    }
}

#[cfg(test)]
mod tests {
    use quorate_state::SavedBackup;

    use super::*;

    const HOURLY: Schedule = Schedule {
        interval: Duration::from_secs(3600),
    };
    const HOUR: u64 = 3_600_000;

    fn node(seed: u8) -> NodeId {
        NodeId(quorate_packet::PublicKey::from_bytes([seed; 32]))
    }

    fn record(at: u64, result: BackupResult) -> Option<BackupRecord> {
        let (at, node) = (UnixMillis(at), node(1));
        Some(BackupRecord { at, node, result })
    }

    fn saved(at: u64) -> LastBackup {
        let file = SavedBackup {
            name: "b".to_owned(),
            size: 1,
            packet_count: 1,
            duration_ms: 1,
        };
        LastBackup {
            saved: record(at, BackupResult::Saved(file)),
            ..LastBackup::default()
        }
    }

    fn then_failed(last: LastBackup, at: u64, failure_count: u32) -> LastBackup {
        LastBackup {
            failed: record(at, BackupResult::failed("no")),
            failure_count,
            ..last
        }
    }

    fn turn(last: &LastBackup, now: u64) -> Option<NodeId> {
        let voters = [3, 1, 2].map(node);
        HOURLY.turn(&voters, Some(node(1)), last, UnixMillis(now))
    }

    #[test]
    fn a_backup_is_due_one_interval_after_the_last_success() {
        let last = saved(5 * HOUR);
        assert_eq!(turn(&last, 6 * HOUR - 1), None);
        assert_eq!(turn(&last, 6 * HOUR), Some(node(2)));
    }

    #[test]
    fn the_leader_is_the_last_of_the_order() {
        let (last, patience) = (saved(0), millis(HOURLY.patience(&LastBackup::default())));
        let turns = [0, 1, 2, 3].map(|turns| turn(&last, HOUR + turns * patience));
        assert_eq!(turns, [2, 3, 1, 2].map(|id| Some(node(id))));
    }

    #[test]
    fn a_failure_gives_the_turn_to_the_next_node_after_a_pause() {
        let patience = millis(HOURLY.patience(&LastBackup::default()));
        let last = then_failed(saved(0), HOUR + 1, 1);
        assert_eq!(turn(&last, HOUR + patience), None);
        assert_eq!(turn(&last, HOUR + 1 + patience), Some(node(3)));
        let last = then_failed(LastBackup::default(), 7 * HOUR, 2);
        assert_eq!(turn(&last, 7 * HOUR + patience), Some(node(1)));
    }

    #[test]
    fn the_first_backup_of_a_cluster_starts_with_the_first_of_the_order() {
        assert_eq!(turn(&LastBackup::default(), 9 * HOUR + 5), Some(node(2)));
    }

    #[test]
    fn a_slow_backup_is_not_started_again_by_the_next_node() {
        let mut last = saved(0);
        let file = SavedBackup {
            name: "b".to_owned(),
            size: 1,
            packet_count: 1,
            duration_ms: HOUR / 2,
        };
        last.saved = record(0, BackupResult::Saved(file));
        for (now, expected) in [(HOUR, 2), (2 * HOUR, 2), (3 * HOUR, 3)] {
            assert_eq!(turn(&last, now), Some(node(expected)), "{now}");
        }
    }

    #[test]
    fn without_a_leader_or_without_voters_nobody_has_the_turn() {
        let (last, now) = (saved(0), UnixMillis(HOUR));
        assert_eq!(HOURLY.turn(&[node(1)], None, &last, now), None);
        assert_eq!(HOURLY.turn(&[], Some(node(1)), &last, now), None);
    }

    #[test]
    fn extreme_times_and_intervals_do_not_panic() {
        for secs in [0, 1, u64::MAX] {
            let interval = Duration::from_secs(secs);
            for at in [0, u64::MAX] {
                let last = then_failed(saved(at), at, u32::MAX);
                let voters = [node(1), node(2)];
                let now = UnixMillis(u64::MAX);
                Schedule { interval }.turn(&voters, Some(node(1)), &last, now);
            }
        }
    }
}
