//! The queue of the writer.

use std::{collections::VecDeque, io, time::Instant};

use quorate_metrics::Histogram;

use crate::{bounds::Item, vote::SavedVote};

/// Called when everything queued before it is on disk, or when that has failed.
pub type OnFlushed = Box<dyn FnOnce(io::Result<()>) + Send>;

/// A callback that is always called, with an error when it is dropped.
pub(crate) struct FlushCallback {
    on_flushed: Option<OnFlushed>,
    queued: Instant,
    duration: Histogram,
}

impl FlushCallback {
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

impl Drop for FlushCallback {
    fn drop(&mut self) {
        if let Some(on_flushed) = self.on_flushed.take() {
            on_flushed(Err(io::Error::other("the writer of the Raft log is gone")));
        }
    }
}

enum Request {
    Item(Item, u64),
    Vote(SavedVote),
    Callback(FlushCallback),
}

/// A vote or items that are written and synced together, and the callbacks to call then.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) vote: Option<SavedVote>,
    /// Items with their sequence numbers.
    pub(crate) items: Vec<(Item, u64)>,
    pub(crate) callbacks: Vec<FlushCallback>,
    /// The size of the items, in bytes.
    pub(crate) size: usize,
}

/// Items, votes and callbacks, in the order of the calls.
#[derive(Default)]
pub(crate) struct Queue {
    requests: VecDeque<Request>,
    /// The size of the items, in bytes.
    pub(crate) size: usize,
    /// The sequence number of the last item.
    last_number: u64,
    /// Whether the writer should write the queue now.
    pub(crate) is_due: bool,
}

impl Queue {
    /// Adds an item and returns its sequence number. It is written once the queue is due.
    pub(crate) fn push_item(&mut self, item: Item) -> u64 {
        self.last_number += 1;
        if let (Item::Committed(_), Some(Request::Item(last @ Item::Committed(_), _))) =
            (&item, self.requests.back_mut())
        {
            *last = item;
            return self.last_number;
        }
        self.size += item.size();
        self.requests
            .push_back(Request::Item(item, self.last_number));
        self.last_number
    }

    pub(crate) fn push_vote(&mut self, vote: SavedVote) {
        self.requests.push_back(Request::Vote(vote));
    }

    pub(crate) fn push_callback(&mut self, callback: FlushCallback) {
        self.requests.push_back(Request::Callback(callback));
    }

    /// Takes what can be written together: items of up to `size_max` bytes, or votes, of which only
    /// the last is written. A vote is never written together with items: it is in another file, and
    /// the disk keeps no order between two files. `None` when the queue is empty.
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
                Request::Callback(callback) => batch.callbacks.push(callback),
                other => {
                    self.requests.push_front(other);
                    break;
                }
            }
        }
        self.size -= batch.size;
        self.is_due &= !self.requests.is_empty();
        let is_empty = batch.vote.is_none() && batch.items.is_empty() && batch.callbacks.is_empty();
        (!is_empty).then_some(batch)
    }

    /// Empties the queue and returns its callbacks, which must be called with an error.
    pub(crate) fn abandon(&mut self) -> Vec<FlushCallback> {
        self.size = 0;
        self.requests
            .drain(..)
            .filter_map(|request| match request {
                Request::Callback(callback) => Some(callback),
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
    fn a_vote_is_written_alone_and_in_order() {
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
    fn a_batch_fits_into_a_group() {
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
    fn only_the_last_committed_position_stays_queued() {
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
