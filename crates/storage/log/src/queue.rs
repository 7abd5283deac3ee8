//! What waits for the writer.

use std::{collections::VecDeque, io, time::Instant};

use quorate_metrics::Histogram;

use crate::{base::Item, vote::SavedVote};

/// Called once what was queued is on disk, or can never be.
pub type OnFlushed = Box<dyn FnOnce(io::Result<()>) + Send>;

/// A callback that is called whatever becomes of the writer.
pub(crate) struct Flushed {
    on_flushed: Option<OnFlushed>,
    queued: Instant,
    duration: Histogram,
}

impl Flushed {
    pub(crate) fn new(on_flushed: OnFlushed, duration: Histogram) -> Self {
        Self {
            on_flushed: Some(on_flushed),
            queued: Instant::now(),
            duration,
        }
    }

    pub(crate) fn call(mut self, result: io::Result<()>) {
        self.duration.observe(self.queued.elapsed().as_secs_f64());
        if let Some(on_flushed) = self.on_flushed.take() {
            on_flushed(result);
        }
    }
}

impl Drop for Flushed {
    fn drop(&mut self) {
        if let Some(on_flushed) = self.on_flushed.take() {
            on_flushed(Err(io::Error::other("the writer of the Raft log is gone")));
        }
    }
}

enum Request {
    Item(Item, u64),
    Vote(SavedVote),
    Flushed(Flushed),
}

/// What is written and synced together: a vote, or items, and who waits for that.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) vote: Option<SavedVote>,
    /// Items, entries with the number of their append.
    pub(crate) items: Vec<(Item, u64)>,
    pub(crate) flushed: Vec<Flushed>,
    /// The size of the items, in bytes.
    pub(crate) size: usize,
}

/// Items, votes and callbacks in the order they came.
#[derive(Default)]
pub(crate) struct Queue {
    requests: VecDeque<Request>,
    /// The size of the items, in bytes.
    pub(crate) size: usize,
    numbers: u64,
    /// All that waits is to be written now.
    pub(crate) is_due: bool,
}

impl Queue {
    /// Adds an item and gives its number. It waits for the next that is due.
    pub(crate) fn push_item(&mut self, item: Item) -> u64 {
        self.numbers += 1;
        if let (Item::Committed(_), Some(Request::Item(last @ Item::Committed(_), _))) =
            (&item, self.requests.back_mut())
        {
            *last = item;
            return self.numbers;
        }
        self.size += item.size();
        self.requests.push_back(Request::Item(item, self.numbers));
        self.numbers
    }

    pub(crate) fn push_vote(&mut self, vote: SavedVote) {
        self.requests.push_back(Request::Vote(vote));
    }

    pub(crate) fn push_flushed(&mut self, flushed: Flushed) {
        self.requests.push_back(Request::Flushed(flushed));
    }

    /// Takes what can be written in one piece: items of up to `size_max` bytes, or votes, of which
    /// the last counts. A vote is never written together with what came before or after it, for it
    /// is in another file, and the disk keeps no order between two. Nothing when nothing waits.
    pub(crate) fn take(&mut self, size_max: usize) -> Option<Batch> {
        let mut batch = Batch::default();
        while let Some(request) = self.requests.pop_front() {
            match request {
                Request::Item(item, number)
                    if batch.vote.is_none() && batch.size + item.size() <= size_max =>
                {
                    batch.size += item.size();
                    batch.items.push((item, number));
                }
                Request::Vote(vote) if batch.items.is_empty() => batch.vote = Some(vote),
                Request::Flushed(flushed) => batch.flushed.push(flushed),
                other => {
                    self.requests.push_front(other);
                    break;
                }
            }
        }
        self.size -= batch.size;
        self.is_due &= !self.requests.is_empty();
        let is_empty = batch.vote.is_none() && batch.items.is_empty() && batch.flushed.is_empty();
        (!is_empty).then_some(batch)
    }

    /// Takes the callbacks that will never hear of success.
    pub(crate) fn abandon(&mut self) -> Vec<Flushed> {
        self.size = 0;
        self.requests
            .drain(..)
            .filter_map(|request| match request {
                Request::Flushed(flushed) => Some(flushed),
                _ => None,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use quorate_state::LogPosition;

    use super::*;

    fn entry(index: u64) -> Item {
        Item::Entry(LogPosition::new(1, index), vec![0; 100].into())
    }

    fn vote(term: u64) -> SavedVote {
        SavedVote {
            term,
            committed: false,
            node: [0; 32],
        }
    }

    #[test]
    fn a_vote_is_written_alone_and_in_its_turn() {
        let mut queue = Queue::default();
        queue.push_item(entry(0));
        queue.push_item(entry(1));
        queue.push_vote(vote(2));
        queue.push_vote(vote(3));
        queue.push_item(entry(2));
        let mut kinds = Vec::new();
        while let Some(batch) = queue.take(usize::MAX) {
            kinds.push((batch.vote.map(|vote| vote.term), batch.items.len()));
        }
        assert_eq!(kinds, [(None, 2), (Some(3), 0), (None, 1)]);
        assert_eq!(queue.size, 0);
    }

    #[test]
    fn a_batch_is_no_larger_than_a_group() {
        let mut queue = Queue::default();
        for index in 0..5 {
            queue.push_item(entry(index));
        }
        queue.is_due = true;
        assert_eq!(queue.take(2 * entry(0).size()).unwrap().items.len(), 2);
        assert!(queue.is_due);
        assert_eq!(queue.take(usize::MAX).unwrap().items.len(), 3);
        assert!(!queue.is_due && queue.take(usize::MAX).is_none());
    }

    #[test]
    fn of_what_is_committed_only_the_last_waits() {
        let mut queue = Queue::default();
        for index in 0..1000 {
            queue.push_item(Item::Committed(LogPosition::new(1, index)));
        }
        assert!(!queue.is_due);
        let items = queue.take(usize::MAX).unwrap().items;
        assert_eq!(items[0].0, Item::Committed(LogPosition::new(1, 999)));
        assert_eq!(items.len(), 1);
    }
}
