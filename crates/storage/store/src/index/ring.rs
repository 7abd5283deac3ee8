//! The latest changes, in the order in which they were applied.

use std::collections::VecDeque;

use quorate_replica::{ChangedPacket, Changes, ChangesLost, LogIndex};

/// How many changes are kept. Each takes 48 bytes, so that all take 12 MiB at most. With a million
/// endpoints that publish every 300 s they cover a bit more than a minute: a client that polls
/// every few seconds can skip several polls.
pub(crate) const CHANGE_COUNT_MAX: usize = 256 * 1024;

/// A ring buffer of the latest changes.
#[derive(Debug)]
pub(crate) struct ChangeRing {
    changes: VecDeque<ChangedPacket>,
    count_max: usize,
    /// The ring contains all changes after this entry.
    complete_after: LogIndex,
    /// The last entry that was applied, even if it changed no packet.
    applied: LogIndex,
}

impl ChangeRing {
    /// An empty ring, for the changes after the entry `applied`.
    pub(crate) fn new(applied: LogIndex, count_max: usize) -> Self {
        Self {
            changes: VecDeque::new(),
            count_max,
            complete_after: applied,
            applied,
        }
    }

    /// Drops all changes. Those up to the entry `applied` are lost.
    pub(crate) fn reset(&mut self, applied: LogIndex) {
        *self = Self::new(applied, self.count_max);
    }

    /// Adds the changes of the entries up to `applied`.
    pub(crate) fn extend(&mut self, changes: &[ChangedPacket], applied: LogIndex) {
        for change in changes {
            if self.changes.len() == self.count_max
                && let Some(oldest) = self.changes.pop_front()
            {
                self.complete_after = oldest.index;
            }
            self.changes.push_back(*change);
        }
        self.applied = applied;
    }

    /// The changes of the entries after `since`, up to `count_max` of them. All changes of an entry
    /// are returned together, so a single entry may exceed `count_max`. Fails when changes after
    /// `since` were dropped.
    pub(crate) fn since(&self, since: LogIndex, count_max: usize) -> Result<Changes, ChangesLost> {
        if since < self.complete_after {
            return Err(ChangesLost);
        }
        let end_of = |entry: LogIndex| self.changes.partition_point(|change| change.index <= entry);
        let start = end_of(since);
        let end = match self.changes.get(start.saturating_add(count_max)) {
            None => self.changes.len(),
            Some(excess) => {
                let start_of_excess = self.changes.partition_point(|c| c.index < excess.index);
                start_of_excess.max(end_of(self.changes[start].index))
            }
        };
        let next = match end == self.changes.len() {
            true => self.applied.max(since),
            false => self.changes[end - 1].index,
        };
        Ok(Changes {
            changes: self.changes.range(start..end).copied().collect(),
            next,
            cluster: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use quorate_packet::PublicKey;
    use quorate_replica::ChangeKind;

    use super::*;

    /// One change for each of these entries.
    fn changes(indexes: &[u64]) -> Vec<ChangedPacket> {
        let change = |index: &u64| ChangedPacket {
            index: LogIndex(*index),
            key: PublicKey::from_bytes([*index as u8; 32]),
            kind: ChangeKind::Stored,
        };
        indexes.iter().map(change).collect()
    }

    /// The entries of the changes after `since`, and the next `since`.
    fn entries_since(ring: &ChangeRing, since: u64, count_max: usize) -> Option<(Vec<u64>, u64)> {
        let changes = ring.since(LogIndex(since), count_max).ok()?;
        let indexes = changes.changes.iter().map(|change| change.index.0);
        Some((indexes.collect(), changes.next.0))
    }

    #[test]
    fn changes_after_an_entry_are_returned_in_order() {
        let mut ring = ChangeRing::new(LogIndex(4), 9);
        assert_eq!(entries_since(&ring, 4, 9), Some((vec![], 4)));
        ring.extend(&changes(&[5, 7, 7]), LogIndex(8));
        assert_eq!(entries_since(&ring, 4, 9), Some((vec![5, 7, 7], 8)));
        assert_eq!(entries_since(&ring, 5, 9), Some((vec![7, 7], 8)));
        assert_eq!(entries_since(&ring, 6, 9), Some((vec![7, 7], 8)));
        assert_eq!(entries_since(&ring, 7, 9), Some((vec![], 8)));
    }

    #[test]
    fn a_page_has_complete_entries_and_at_least_one() {
        let mut ring = ChangeRing::new(LogIndex(0), 9);
        ring.extend(&changes(&[1, 2, 2, 2, 3]), LogIndex(3));
        assert_eq!(entries_since(&ring, 0, 1), Some((vec![1], 1)));
        assert_eq!(entries_since(&ring, 0, 3), Some((vec![1], 1)));
        assert_eq!(entries_since(&ring, 0, 4), Some((vec![1, 2, 2, 2], 2)));
        assert_eq!(entries_since(&ring, 1, 1), Some((vec![2, 2, 2], 2)));
        assert_eq!(entries_since(&ring, 1, 0), Some((vec![2, 2, 2], 2)));
        assert_eq!(entries_since(&ring, 2, 1), Some((vec![3], 3)));
    }

    #[test]
    fn changes_before_the_oldest_kept_one_are_lost() {
        let mut ring = ChangeRing::new(LogIndex(0), 3);
        ring.extend(&changes(&[1, 2, 2, 3]), LogIndex(3));
        assert_eq!(entries_since(&ring, 0, 9), None);
        assert_eq!(entries_since(&ring, 1, 9), Some((vec![2, 2, 3], 3)));
        // The changes of entry 2 are no longer complete, so they are lost too.
        ring.extend(&changes(&[4]), LogIndex(4));
        assert_eq!(entries_since(&ring, 1, 9), None);
        assert_eq!(entries_since(&ring, 2, 9), Some((vec![3, 4], 4)));
        assert_eq!(ring.changes.len(), 3);
    }

    #[test]
    fn a_client_may_start_after_an_entry_that_is_not_applied_here_yet() {
        let mut ring = ChangeRing::new(LogIndex(0), 9);
        ring.extend(&changes(&[1]), LogIndex(2));
        assert_eq!(entries_since(&ring, 7, 9), Some((vec![], 7)));
        ring.extend(&changes(&[6, 8]), LogIndex(8));
        assert_eq!(entries_since(&ring, 7, 9), Some((vec![8], 8)));
    }

    #[test]
    fn after_a_snapshot_earlier_changes_are_lost() {
        let mut ring = ChangeRing::new(LogIndex(0), 9);
        ring.extend(&changes(&[1, 2]), LogIndex(2));
        ring.reset(LogIndex(9));
        assert_eq!(entries_since(&ring, 2, 9), None);
        assert_eq!(entries_since(&ring, 8, 9), None);
        assert_eq!(entries_since(&ring, 9, 9), Some((vec![], 9)));
    }

    /// The docs of [`CHANGE_COUNT_MAX`] state this size.
    #[test]
    fn a_change_takes_48_bytes() {
        assert_eq!(size_of::<ChangedPacket>(), 48);
    }
}
