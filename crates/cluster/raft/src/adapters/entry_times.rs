//! When the last entries of the log reached disk and store at this node.

use std::{
    ops::RangeInclusive,
    sync::{Arc, Mutex},
    time::Instant,
};

use quorate_peer::lock;
use quorate_state::LogIndex;

/// The last entries that are known: more than can be between their append and the answers to their
/// PUTs, unless a node catches up, and then nobody waits for it.
const ENTRY_COUNT: usize = 1024;

/// When an entry passed each step at this node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EntryTimes {
    index: u64,
    /// It was handed to the log.
    pub(crate) appended: Instant,
    /// It was on disk.
    pub(crate) synced: Option<Instant>,
    /// It was known to be committed, and its turn to be applied had come.
    pub(crate) committed: Option<Instant>,
    /// A read sees its effect.
    pub(crate) applied: Option<Instant>,
}

/// The times of the last entries. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct LastEntryTimes(Arc<Mutex<Vec<Option<EntryTimes>>>>);

impl LastEntryTimes {
    pub(crate) fn set_appended(&self, indexes: RangeInclusive<u64>) {
        let now = Instant::now();
        let mut slots = lock(&self.0);
        slots.resize(ENTRY_COUNT, None);
        for index in last_of(indexes) {
            slots[slot(index)] = Some(EntryTimes {
                index,
                appended: now,
                synced: None,
                committed: None,
                applied: None,
            });
        }
    }

    /// Sets the time of one step to now, for the entries that were appended since the start.
    pub(crate) fn set(
        &self,
        indexes: RangeInclusive<u64>,
        step: impl Fn(&mut EntryTimes) -> &mut Option<Instant>,
    ) {
        let now = Instant::now();
        let mut slots = lock(&self.0);
        for index in last_of(indexes) {
            if let Some(Some(times)) = slots.get_mut(slot(index))
                && times.index == index
            {
                *step(times) = Some(now);
            }
        }
    }

    /// The times of an entry, if it is one of the last.
    pub(crate) fn get(&self, index: LogIndex) -> Option<EntryTimes> {
        let slots = lock(&self.0);
        let times = slots.get(slot(index.0)).copied().flatten();
        times.filter(|times| times.index == index.0)
    }
}

/// The indexes of entries that follow each other.
pub(super) fn indexes<T>(entries: &[T], index: impl Fn(&T) -> u64) -> RangeInclusive<u64> {
    entries.first().map_or(1, &index)..=entries.last().map_or(0, &index)
}

fn slot(index: u64) -> usize {
    index as usize % ENTRY_COUNT
}

fn last_of(indexes: RangeInclusive<u64>) -> RangeInclusive<u64> {
    let (first, last) = indexes.into_inner();
    first.max((last + 1).saturating_sub(ENTRY_COUNT as u64))..=last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_has_its_times_until_later_ones_need_the_place() {
        let times = LastEntryTimes::default();
        times.set(1..=5, |times| &mut times.synced);
        assert!(times.get(LogIndex(5)).is_none());
        times.set_appended(1..=5);
        times.set(4..=5, |times| &mut times.synced);
        let of = |index| times.get(LogIndex(index));
        assert!(of(3).unwrap().synced.is_none() && of(5).unwrap().synced.is_some());
        times.set_appended(5..=5);
        assert!(of(5).unwrap().synced.is_none(), "it is another entry");
        times.set_appended(6..=10_000);
        assert!(of(5).is_none() && of(10_000 - ENTRY_COUNT as u64).is_none());
        assert!(of(10_001 - ENTRY_COUNT as u64).is_some() && of(10_000).is_some());
    }
}
