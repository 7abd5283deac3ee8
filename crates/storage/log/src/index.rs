//! The location of each entry, and the payloads of the latest ones.

use std::{collections::VecDeque, io, ops::Range};

use bytes::Bytes;
use quorate_state::LogPosition;

use crate::{
    bounds::{Item, LogBounds},
    item::ENTRY_OVERHEAD,
    vote::SavedVote,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Location {
    /// In a segment that was removed. Only while the log is opened.
    Missing,
    /// In the queue of the writer, with this sequence number.
    Queued(u64),
    Disk(DiskLocation),
}

/// The location of an entry on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DiskLocation {
    pub(crate) segment: u64,
    /// From the start of the segment, in bytes. 32 bits are enough: segments are smaller than 4
    /// GiB.
    pub(crate) offset: u32,
    /// The size of the item, in bytes.
    pub(crate) size: u32,
}

impl DiskLocation {
    /// The size of the payload, in bytes.
    pub(crate) fn payload_size(self) -> usize {
        self.size as usize - ENTRY_OVERHEAD
    }
}

#[derive(Debug, Clone, Copy)]
struct IndexEntry {
    term: u64,
    location: Location,
}

/// Position and location of an entry, with its payload if that is cached.
#[derive(Debug, Clone)]
pub(crate) struct EntryInfo {
    pub(crate) position: LogPosition,
    pub(crate) location: Location,
    pub(crate) payload: Option<Bytes>,
}

/// The index of all entries in the log. It takes about 32 bytes for each, in addition to the
/// payloads.
#[derive(Debug, Default)]
pub(crate) struct Index {
    pub(crate) bounds: LogBounds,
    pub(crate) vote: Option<SavedVote>,
    entries: VecDeque<IndexEntry>,
    /// The payloads of the last entries, at least of all that are not on disk yet.
    payloads: VecDeque<Bytes>,
    payload_size: usize,
    payload_size_max: usize,
}

impl Index {
    /// An empty index that caches up to `payload_size_max` bytes of payloads. Queued payloads are
    /// kept even beyond that.
    pub(crate) fn new(payload_size_max: usize) -> Self {
        Self {
            payload_size_max,
            ..Self::default()
        }
    }

    /// Starts with the bounds in the first remaining segment. The entries before that segment are
    /// missing until a later item purges or truncates them.
    pub(crate) fn reset(&mut self, bounds: LogBounds) {
        let missing = IndexEntry {
            term: 0,
            location: Location::Missing,
        };
        self.bounds = bounds;
        self.entries = (0..bounds.count()).map(|_| missing).collect();
    }

    /// Applies an item that was read or is queued. Entries go to [`Self::push`].
    pub(crate) fn apply(&mut self, item: &Item) -> io::Result<()> {
        let after = self.bounds.after(item).map_err(invalid_input)?;
        let front_count = (after.first.saturating_sub(self.bounds.first)).min(self.count());
        let empties = after.count() == 0;
        self.bounds = after;
        match item {
            Item::Purge(_) => self.drop_front(front_count as usize),
            Item::Truncate(_) => self.drop_back((self.count() - after.count()) as usize),
            _ => {}
        }
        debug_assert!(!empties || self.entries.is_empty());
        Ok(())
    }

    /// Adds an entry. Keeps the payload of a queued one.
    pub(crate) fn push(&mut self, entry: &Item, location: Location) -> io::Result<()> {
        self.bounds = self.bounds.after(entry).map_err(invalid_input)?;
        if let Item::Entry(position, payload) = entry {
            let term = position.term.0;
            self.entries.push_back(IndexEntry { term, location });
            if let Location::Queued(_) = location {
                self.payload_size += payload.len();
                self.payloads.push_back(payload.clone());
            }
        }
        Ok(())
    }

    /// Records where the entry with this sequence number was written, if it is still in the log.
    pub(crate) fn set_written(&mut self, index: u64, number: u64, location: DiskLocation) {
        let offset = index.checked_sub(self.bounds.first);
        let entry = offset.and_then(|offset| self.entries.get_mut(offset as usize));
        if let Some(entry) = entry.filter(|entry| entry.location == Location::Queued(number)) {
            entry.location = Location::Disk(location);
        }
    }

    /// Drops the oldest payloads beyond the limit, but only those of entries on disk.
    pub(crate) fn trim_payloads(&mut self) {
        while self.payload_size > self.payload_size_max {
            let first = self.entries.len() - self.payloads.len();
            match self.entries.get(first).map(|entry| entry.location) {
                Some(Location::Disk(_)) => self.drop_payload_front(),
                _ => break,
            }
        }
    }

    /// The item that removes the entries after `last`, or `None` when there are none. Fails when
    /// `last` is not in the log.
    pub(crate) fn truncation(&self, last: Option<LogPosition>) -> io::Result<Option<Item>> {
        let next = last.map_or(0, |last| last.index.next().0);
        if self.bounds.last.is_none_or(|last| next > last.index.0) {
            return Ok(None);
        }
        let purged_next = self.bounds.purged.map(|purged| purged.index.next().0);
        let keep = match next.checked_sub(1).and_then(|index| self.find(index)) {
            Some(found) => Some(found.position),
            None if purged_next == Some(next) => self.bounds.purged,
            None if purged_next.is_none() => None,
            None => return Err(invalid_input(format!("{last:?} is not in the log"))),
        };
        Ok(Some(Item::Truncate(keep)))
    }

    /// The entry of this index, if it is in the log.
    pub(crate) fn find(&self, index: u64) -> Option<EntryInfo> {
        let offset = usize::try_from(index.checked_sub(self.bounds.first)?).ok()?;
        let entry = self.entries.get(offset)?;
        let first_payload = self.entries.len() - self.payloads.len();
        let payload = offset
            .checked_sub(first_payload)
            .and_then(|offset| self.payloads.get(offset));
        Some(EntryInfo {
            position: LogPosition::new(entry.term, index),
            location: entry.location,
            payload: payload.cloned(),
        })
    }

    /// The part of `range` that is in the log.
    pub(crate) fn intersect(&self, range: Range<u64>) -> Range<u64> {
        let end = self.bounds.first + self.count();
        range.start.max(self.bounds.first)..range.end.min(end)
    }

    /// Where the first entry is.
    pub(crate) fn first_location(&self) -> Option<Location> {
        self.entries.front().map(|entry| entry.location)
    }

    fn count(&self) -> u64 {
        self.entries.len() as u64
    }

    fn drop_front(&mut self, count: usize) {
        self.entries.drain(..count);
        while self.payloads.len() > self.entries.len() {
            self.drop_payload_front();
        }
    }

    fn drop_payload_front(&mut self) {
        if let Some(payload) = self.payloads.pop_front() {
            self.payload_size -= payload.len();
        }
    }

    fn drop_back(&mut self, count: usize) {
        self.entries.truncate(self.entries.len() - count);
        for _ in 0..count.min(self.payloads.len()) {
            if let Some(payload) = self.payloads.pop_back() {
                self.payload_size -= payload.len();
            }
        }
    }
}

pub(crate) fn invalid_input(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(index: u64) -> LogPosition {
        LogPosition::new(1, index)
    }

    fn index_of(entries: Range<u64>, payload_size_max: usize) -> Index {
        let mut index = Index::new(payload_size_max);
        for number in entries {
            let entry = Item::Entry(at(number), vec![0; 10].into());
            index.push(&entry, Location::Queued(number)).unwrap();
        }
        index
    }

    fn written(index: &mut Index, entries: Range<u64>) {
        for number in entries {
            let location = DiskLocation {
                segment: 1,
                offset: 512,
                size: 10,
            };
            index.set_written(number, number, location);
        }
        index.trim_payloads();
    }

    fn cached(index: &Index) -> Vec<u64> {
        let all = index.intersect(0..u64::MAX);
        all.filter(|at| index.find(*at).unwrap().payload.is_some())
            .collect()
    }

    #[test]
    fn the_oldest_payloads_are_dropped_first_but_never_before_they_are_on_disk() {
        let mut index = index_of(0..5, 25);
        index.trim_payloads();
        assert_eq!(cached(&index), [0, 1, 2, 3, 4]);
        written(&mut index, 0..2);
        assert_eq!(cached(&index), [2, 3, 4]);
        written(&mut index, 2..5);
        assert_eq!(cached(&index), [3, 4]);
        index.apply(&Item::Truncate(Some(at(3)))).unwrap();
        assert_eq!(cached(&index), [3]);
        index.apply(&Item::Purge(at(9))).unwrap();
        assert_eq!((cached(&index), index.payload_size), (Vec::new(), 0));
    }

    #[test]
    fn a_new_entry_of_the_same_index_is_not_confused_with_the_truncated_one() {
        let mut index = index_of(0..3, 0);
        index.apply(&Item::Truncate(Some(at(1)))).unwrap();
        let entry = Item::Entry(at(2), vec![1; 10].into());
        index.push(&entry, Location::Queued(7)).unwrap();
        written(&mut index, 0..3);
        let found = index.find(2).unwrap();
        assert_eq!(found.location, Location::Queued(7));
        assert_eq!(found.payload.unwrap(), vec![1; 10]);
    }

    #[test]
    fn a_purge_after_the_last_entry_becomes_the_last_position() {
        let mut index = index_of(0..3, 100);
        index.apply(&Item::Purge(at(1))).unwrap();
        assert_eq!(index.intersect(0..u64::MAX), 2..3);
        index.apply(&Item::Purge(at(8))).unwrap();
        assert!(index.intersect(0..u64::MAX).is_empty());
        assert_eq!(index.bounds.last, Some(at(8)));
        assert!(index.truncation(Some(at(7))).is_err());
        assert_eq!(index.truncation(Some(at(8))).unwrap(), None);
    }

    #[test]
    fn committed_entries_cannot_be_truncated() {
        let mut index = index_of(0..3, 100);
        index.apply(&Item::Committed(at(1))).unwrap();
        assert!(index.apply(&Item::Truncate(Some(at(0)))).is_err());
        assert!(index.apply(&Item::Committed(at(0))).is_err());
        assert!(index.apply(&Item::Committed(at(3))).is_err());
        assert_eq!(index.intersect(0..u64::MAX), 0..3);
    }
}
