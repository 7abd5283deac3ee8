//! The last changes, in the order in which they were applied.

use std::collections::VecDeque;

use quorate_replica::{ChangedPacket, Changes, ChangesLost, LogIndex};

/// How many changes are kept. Each takes 48 bytes, so that all take 12 MiB at most. Of a million
/// endpoints that publish each 300 s they are those of a bit more than a minute: who asks every few
/// seconds can miss some of its turns.
pub(crate) const CHANGE_COUNT_MAX: usize = 256 * 1024;

/// The last changes.
#[derive(Debug)]
pub(crate) struct ChangeRing {
    changes: VecDeque<ChangedPacket>,
    count_max: usize,
    /// All changes behind this entry are there.
    floor: LogIndex,
    /// The last entry that was applied, whether it changed packets or not.
    applied: LogIndex,
}

impl ChangeRing {
    /// None yet, behind the entry `applied`.
    pub(crate) fn new(applied: LogIndex, count_max: usize) -> Self {
        Self {
            changes: VecDeque::new(),
            count_max,
            floor: applied,
            applied,
        }
    }

    /// Forgets all: what changed up to the entry `applied` is not known.
    pub(crate) fn begin_anew(&mut self, applied: LogIndex) {
        *self = Self::new(applied, self.count_max);
    }

    /// Adds changes, those of entries up to `applied`.
    pub(crate) fn extend(&mut self, changes: &[ChangedPacket], applied: LogIndex) {
        for change in changes {
            if self.changes.len() == self.count_max
                && let Some(oldest) = self.changes.pop_front()
            {
                self.floor = oldest.index;
            }
            self.changes.push_back(*change);
        }
        self.applied = applied;
    }

    /// Those of whole entries behind `since`, up to `count_max` of them, or of one entry.
    pub(crate) fn since(&self, since: LogIndex, count_max: usize) -> Result<Changes, ChangesLost> {
        if since < self.floor {
            return Err(ChangesLost);
        }
        let behind = |last: LogIndex| self.changes.partition_point(|change| change.index <= last);
        let start = behind(since);
        let end = match self.changes.get(start.saturating_add(count_max)) {
            None => self.changes.len(),
            Some(cut) => {
                let begin_of_cut = self.changes.partition_point(|c| c.index < cut.index);
                begin_of_cut.max(behind(self.changes[start].index))
            }
        };
        let next = match end == self.changes.len() {
            true => self.applied.max(since),
            false => self.changes[end - 1].index,
        };
        Ok(Changes {
            changes: self.changes.range(start..end).copied().collect(),
            next,
        })
    }
}

#[cfg(test)]
mod tests {
    use quorate_packet::PublicKey;
    use quorate_replica::ChangeKind;

    use super::*;

    /// A change of each of these entries.
    fn changes(indexes: &[u64]) -> Vec<ChangedPacket> {
        let change = |index: &u64| ChangedPacket {
            index: LogIndex(*index),
            key: PublicKey::from_bytes([*index as u8; 32]),
            kind: ChangeKind::Stored,
        };
        indexes.iter().map(change).collect()
    }

    /// What is told behind `since`: the entries, and behind which to go on.
    fn told(ring: &ChangeRing, since: u64, count_max: usize) -> Option<(Vec<u64>, u64)> {
        let changes = ring.since(LogIndex(since), count_max).ok()?;
        let indexes = changes.changes.iter().map(|change| change.index.0);
        Some((indexes.collect(), changes.next.0))
    }

    #[test]
    fn changes_behind_an_entry_are_told_in_order() {
        let mut ring = ChangeRing::new(LogIndex(4), 9);
        assert_eq!(told(&ring, 4, 9), Some((vec![], 4)));
        ring.extend(&changes(&[5, 7, 7]), LogIndex(8));
        assert_eq!(told(&ring, 4, 9), Some((vec![5, 7, 7], 8)));
        assert_eq!(told(&ring, 5, 9), Some((vec![7, 7], 8)));
        assert_eq!(told(&ring, 6, 9), Some((vec![7, 7], 8)));
        assert_eq!(told(&ring, 7, 9), Some((vec![], 8)));
    }

    #[test]
    fn a_page_ends_where_an_entry_does_and_has_one_at_least() {
        let mut ring = ChangeRing::new(LogIndex(0), 9);
        ring.extend(&changes(&[1, 2, 2, 2, 3]), LogIndex(3));
        assert_eq!(told(&ring, 0, 1), Some((vec![1], 1)));
        assert_eq!(told(&ring, 0, 3), Some((vec![1], 1)));
        assert_eq!(told(&ring, 0, 4), Some((vec![1, 2, 2, 2], 2)));
        assert_eq!(told(&ring, 1, 1), Some((vec![2, 2, 2], 2)));
        assert_eq!(told(&ring, 1, 0), Some((vec![2, 2, 2], 2)));
        assert_eq!(told(&ring, 2, 1), Some((vec![3], 3)));
    }

    #[test]
    fn what_is_older_than_the_oldest_kept_is_lost() {
        let mut ring = ChangeRing::new(LogIndex(0), 3);
        ring.extend(&changes(&[1, 2, 2, 3]), LogIndex(3));
        assert_eq!(told(&ring, 0, 9), None);
        assert_eq!(told(&ring, 1, 9), Some((vec![2, 2, 3], 3)));
        // Of an entry that is there in part, nothing can be told.
        ring.extend(&changes(&[4]), LogIndex(4));
        assert_eq!(told(&ring, 1, 9), None);
        assert_eq!(told(&ring, 2, 9), Some((vec![3, 4], 4)));
        assert_eq!(ring.changes.len(), 3);
    }

    #[test]
    fn who_was_told_of_a_later_entry_elsewhere_goes_on_from_there() {
        let mut ring = ChangeRing::new(LogIndex(0), 9);
        ring.extend(&changes(&[1]), LogIndex(2));
        assert_eq!(told(&ring, 7, 9), Some((vec![], 7)));
        ring.extend(&changes(&[6, 8]), LogIndex(8));
        assert_eq!(told(&ring, 7, 9), Some((vec![8], 8)));
    }

    #[test]
    fn after_a_snapshot_what_was_before_is_lost() {
        let mut ring = ChangeRing::new(LogIndex(0), 9);
        ring.extend(&changes(&[1, 2]), LogIndex(2));
        ring.begin_anew(LogIndex(9));
        assert_eq!(told(&ring, 2, 9), None);
        assert_eq!(told(&ring, 8, 9), None);
        assert_eq!(told(&ring, 9, 9), Some((vec![], 9)));
    }

    /// What the memory that it takes is said to be.
    #[test]
    fn a_change_takes_48_bytes() {
        assert_eq!(size_of::<ChangedPacket>(), 48);
    }
}
