//! Where each entry is, and the payloads of the last ones.

use std::{collections::VecDeque, io, ops::Range};

use bytes::Bytes;
use quorate_state::LogPosition;

use crate::{
    base::{Base, Item},
    item::ENTRY_OVERHEAD,
    vote::SavedVote,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Nowhere: it stood in a segment that is gone. Only while the log is opened.
    Missing,
    /// In the queue of the writer, as the append of this number.
    Queued(u64),
    Disk(DiskPlace),
}

/// Where an entry is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DiskPlace {
    pub(crate) segment: u64,
    /// From the start of the segment, in bytes: segments are smaller than 4 GiB.
    pub(crate) offset: u32,
    /// The size of the item, in bytes.
    pub(crate) size: u32,
}

impl DiskPlace {
    /// The size of its payload, in bytes.
    pub(crate) fn payload_size(self) -> usize {
        self.size as usize - ENTRY_OVERHEAD
    }
}

#[derive(Debug, Clone, Copy)]
struct IndexEntry {
    term: u64,
    place: Place,
}

/// What is known of one entry.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) position: LogPosition,
    pub(crate) place: Place,
    pub(crate) payload: Option<Bytes>,
}

/// The entries held. It takes some 32 bytes for each beside the payloads.
#[derive(Debug, Default)]
pub(crate) struct Index {
    pub(crate) base: Base,
    pub(crate) vote: Option<SavedVote>,
    entries: VecDeque<IndexEntry>,
    /// Of the last entries, and of all that are not on disk.
    payloads: VecDeque<Bytes>,
    payload_size: usize,
    payload_size_max: usize,
}

impl Index {
    /// An index that keeps payloads of `payload_size_max` bytes beside those in the queue.
    pub(crate) fn new(payload_size_max: usize) -> Self {
        Self {
            payload_size_max,
            ..Self::default()
        }
    }

    /// Starts anew from the base of the first segment that is left: the entries before it are
    /// missing until they turn out to be purged or truncated.
    pub(crate) fn restart(&mut self, base: Base) {
        let missing = IndexEntry {
            term: 0,
            place: Place::Missing,
        };
        self.base = base;
        self.entries = (0..base.count()).map(|_| missing).collect();
    }

    /// Takes an item that was read, or is queued; entries go to [`Self::push`].
    pub(crate) fn apply(&mut self, item: &Item) -> io::Result<()> {
        let after = self.base.after(item).map_err(invalid)?;
        let front_count = (after.first.saturating_sub(self.base.first)).min(self.count());
        let empties = after.count() == 0;
        self.base = after;
        match item {
            Item::Purge(_) => self.drop_front(front_count as usize),
            Item::Truncate(_) => self.drop_back((self.count() - after.count()) as usize),
            _ => {}
        }
        debug_assert!(!empties || self.entries.is_empty());
        Ok(())
    }

    /// Takes an entry. One that is not on disk needs its payload.
    pub(crate) fn push(&mut self, entry: &Item, place: Place) -> io::Result<()> {
        self.base = self.base.after(entry).map_err(invalid)?;
        if let Item::Entry(position, payload) = entry {
            let term = position.term.0;
            self.entries.push_back(IndexEntry { term, place });
            if let Place::Queued(_) = place {
                self.payload_size += payload.len();
                self.payloads.push_back(payload.clone());
            }
        }
        Ok(())
    }

    /// Notes where the append of this number went, if the entry is still held.
    pub(crate) fn written(&mut self, index: u64, number: u64, place: DiskPlace) {
        let offset = index.checked_sub(self.base.first);
        let held = offset.and_then(|offset| self.entries.get_mut(offset as usize));
        if let Some(held) = held.filter(|held| held.place == Place::Queued(number)) {
            held.place = Place::Disk(place);
        }
    }

    /// Lets go of the oldest payloads beyond the limit that can be read from disk.
    pub(crate) fn trim(&mut self) {
        while self.payload_size > self.payload_size_max {
            let first = self.entries.len() - self.payloads.len();
            match self.entries.get(first).map(|held| held.place) {
                Some(Place::Disk(_)) => self.drop_payload_front(),
                _ => break,
            }
        }
    }

    /// The last entry of what stays when everything behind `last` goes, and nothing when nothing
    /// goes.
    pub(crate) fn truncation(&self, last: Option<LogPosition>) -> io::Result<Option<Item>> {
        let next = last.map_or(0, |last| last.index.next().0);
        if self.base.last.is_none_or(|last| next > last.index.0) {
            return Ok(None);
        }
        let purged_next = self.base.purged.map(|purged| purged.index.next().0);
        let keep = match next.checked_sub(1).and_then(|index| self.find(index)) {
            Some(found) => Some(found.position),
            None if purged_next == Some(next) => self.base.purged,
            None if purged_next.is_none() => None,
            None => return Err(invalid(format!("{last:?} is not in the log"))),
        };
        Ok(Some(Item::Truncate(keep)))
    }

    /// The entry of this index, if it is held.
    pub(crate) fn find(&self, index: u64) -> Option<Found> {
        let offset = usize::try_from(index.checked_sub(self.base.first)?).ok()?;
        let held = self.entries.get(offset)?;
        let first_payload = self.entries.len() - self.payloads.len();
        let payload = offset
            .checked_sub(first_payload)
            .and_then(|offset| self.payloads.get(offset));
        Some(Found {
            position: LogPosition::new(held.term, index),
            place: held.place,
            payload: payload.cloned(),
        })
    }

    /// The part of `range` that is held.
    pub(crate) fn held(&self, range: Range<u64>) -> Range<u64> {
        let end = self.base.first + self.count();
        range.start.max(self.base.first)..range.end.min(end)
    }

    /// Where the first entry on disk is.
    pub(crate) fn first_place(&self) -> Option<Place> {
        self.entries.front().map(|held| held.place)
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

pub(crate) fn invalid(text: String) -> io::Error {
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
            index.push(&entry, Place::Queued(number)).unwrap();
        }
        index
    }

    fn written(index: &mut Index, entries: Range<u64>) {
        for number in entries {
            let place = DiskPlace {
                segment: 1,
                offset: 512,
                size: 10,
            };
            index.written(number, number, place);
        }
        index.trim();
    }

    fn cached(index: &Index) -> Vec<u64> {
        let held = index.held(0..u64::MAX);
        held.filter(|at| index.find(*at).unwrap().payload.is_some())
            .collect()
    }

    #[test]
    fn payloads_go_oldest_first_but_never_before_they_are_on_disk() {
        let mut index = index_of(0..5, 25);
        index.trim();
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
    fn an_entry_appended_anew_is_not_taken_for_the_one_before_it() {
        let mut index = index_of(0..3, 0);
        index.apply(&Item::Truncate(Some(at(1)))).unwrap();
        let entry = Item::Entry(at(2), vec![1; 10].into());
        index.push(&entry, Place::Queued(7)).unwrap();
        written(&mut index, 0..3);
        let found = index.find(2).unwrap();
        assert_eq!(found.place, Place::Queued(7));
        assert_eq!(found.payload.unwrap(), vec![1; 10]);
    }

    #[test]
    fn a_purge_behind_the_last_entry_leaves_its_own_position() {
        let mut index = index_of(0..3, 100);
        index.apply(&Item::Purge(at(1))).unwrap();
        assert_eq!(index.held(0..u64::MAX), 2..3);
        index.apply(&Item::Purge(at(8))).unwrap();
        assert!(index.held(0..u64::MAX).is_empty());
        assert_eq!(index.base.last, Some(at(8)));
        assert!(index.truncation(Some(at(7))).is_err());
        assert_eq!(index.truncation(Some(at(8))).unwrap(), None);
    }

    #[test]
    fn what_is_committed_is_not_truncated() {
        let mut index = index_of(0..3, 100);
        index.apply(&Item::Committed(at(1))).unwrap();
        assert!(index.apply(&Item::Truncate(Some(at(0)))).is_err());
        assert!(index.apply(&Item::Committed(at(0))).is_err());
        assert!(index.apply(&Item::Committed(at(3))).is_err());
        assert_eq!(index.held(0..u64::MAX), 0..3);
    }
}
