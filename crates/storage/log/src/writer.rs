//! The thread that writes.
//!
//! It takes all that waits, writes it as one group, syncs once, and calls who waited: that is the
//! group commit of a node. What comes meanwhile makes the next group.

use std::{io, mem, sync::Arc};

use crate::{
    base::{Base, Item},
    error::Failure,
    group::{GroupBuffer, Link, group_size},
    index::DiskPlace,
    injected_fault::InjectedFault,
    item::BASE_SIZE,
    queue::{Batch, Flushed},
    segment::{SEGMENT_HEADER_SIZE, Segment, Used},
    shared::{FailOnPanic, Shared},
    synced::{Synced, SyncedFile},
    vote::{SavedVote, VoteFile},
};

/// Writes groups and votes, one after the other.
pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) vote_file: VoteFile,
    pub(crate) synced_file: SyncedFile,
    pub(crate) segment: Arc<Segment>,
    /// Where the next group goes.
    pub(crate) offset: u64,
    /// The last group.
    pub(crate) link: Link,
    /// Where the log stands on disk.
    pub(crate) base: Base,
    pub(crate) buffer: GroupBuffer,
}

/// An entry that was written: its index, the number of its append and where it is.
type EntryPlace = (u64, u64, DiskPlace);

impl Writer {
    /// Writes until the log is closed or has failed.
    pub(crate) fn run(mut self) {
        let _told = FailOnPanic {
            shared: self.shared.clone(),
            text: "the writer has panicked",
            fail: Shared::fail,
        };
        while let Some(batch) = self.next_batch() {
            let observer = self.shared.config.sync_observer.clone();
            observer.iter().for_each(|observer| observer.begun());
            let written = self.write(batch);
            observer.iter().for_each(|observer| observer.ended());
            if let Err(failure) = written {
                return self.shared.fail(failure);
            }
        }
        // For nothing but a start that knows more; no promise rests on it.
        let _ = self.synced_file.pair.file.sync_data();
    }

    /// Waits until something is due. Nothing when the log is closed and all is written.
    fn next_batch(&self) -> Option<Batch> {
        let mut state = self.shared.lock();
        while !state.queue.is_due && !state.is_closing {
            state = self.shared.wait(&self.shared.work, state);
        }
        let batch = state.queue.take(self.shared.config.items_size_max());
        drop(state);
        self.shared.room.notify_all();
        batch
    }

    fn write(&mut self, mut batch: Batch) -> Result<(), Failure> {
        let mut flushed = mem::take(&mut batch.flushed);
        if self.shared.config.has(InjectedFault::AckBeforeSync) {
            call(mem::take(&mut flushed), &Ok(()));
        }
        let result = match batch.vote {
            Some(vote) => self.write_vote(vote),
            None if batch.items.is_empty() => Ok(()),
            None => self.write_group(&batch),
        };
        if let Err(failure) = &result {
            // Before those who waited hear of it: what they call next must fail too.
            self.shared.lock().failure = Some(failure.clone());
        }
        call(flushed, &result);
        result
    }

    fn write_vote(&mut self, vote: SavedVote) -> Result<(), Failure> {
        let mut write = || {
            self.vote_file.save(vote)?;
            match self.shared.config.has(InjectedFault::VoteNotSynced) {
                true => Ok(()),
                false => self.vote_file.sync(),
            }
        };
        write().map_err(|error| Failure::at(&self.vote_file.pair.path)(error))
    }

    fn write_group(&mut self, batch: &Batch) -> Result<(), Failure> {
        let has_changed_segment = self.make_room(batch.size)?;
        let segment = self.segment.clone();
        let places = self.encode(&batch.items);
        let places = places.map_err(Failure::at(&segment.path))?;
        self.link = self.buffer.seal(self.shared.log_id, self.link);
        let bytes = &self.buffer.bytes;
        (segment.file.write_at(bytes, self.offset))
            .and_then(|()| segment.file.sync_data())
            .map_err(Failure::at(&segment.path))?;
        self.offset += bytes.len() as u64;
        let synced = Synced {
            segment: segment.number,
            end: self.offset,
            link: self.link,
        };
        let noted = self.synced_file.note(synced);
        noted.map_err(Failure::at(&self.synced_file.pair.path))?;
        self.publish(batch, places, has_changed_segment.then_some(segment));
        Ok(())
    }

    /// Goes on to the next segment if the group does not fit into this one.
    fn make_room(&mut self, items_size: usize) -> Result<bool, Failure> {
        let base_size = match self.offset {
            SEGMENT_HEADER_SIZE => BASE_SIZE,
            _ => 0,
        };
        // Even an empty one may be too small, if it was made under another configuration.
        let end = self.offset + group_size(base_size + items_size) as u64;
        if end <= self.segment.size {
            return Ok(false);
        }
        self.segment = Arc::new(self.next_segment()?);
        self.offset = SEGMENT_HEADER_SIZE;
        Ok(true)
    }

    /// The segment that stands ready, or will soon, or once there is space: nothing that waits for it
    /// has been acknowledged, and giving up would end the node.
    fn next_segment(&self) -> Result<Segment, Failure> {
        let mut state = self.shared.lock();
        loop {
            if let Some(next) = state.next.take() {
                self.shared.making.notify_all();
                return Ok(next);
            }
            if let Some(failure) = &state.next_failure {
                return Err(failure.clone());
            }
            if state.is_full && state.is_closing {
                let error = io::ErrorKind::StorageFull.into();
                return Err(Failure::at(self.shared.dir())(error));
            }
            state = self.shared.wait(&self.shared.made, state);
        }
    }

    /// Encodes the items and says where the entries go.
    fn encode(&mut self, items: &[(Item, u64)]) -> io::Result<Vec<EntryPlace>> {
        let log_id = self.shared.log_id;
        self.buffer.start();
        if self.offset == SEGMENT_HEADER_SIZE {
            self.buffer.push(log_id, &Item::Base(self.base));
        }
        let mut places = Vec::with_capacity(items.len());
        for (item, number) in items {
            self.base = self.base.after(item).map_err(io::Error::other)?;
            let offset = self.offset + self.buffer.push(log_id, item) as u64;
            if let Item::Entry(position, _) = item {
                let place = DiskPlace {
                    segment: self.segment.number,
                    offset: u32::try_from(offset).map_err(io::Error::other)?,
                    size: item.size() as u32,
                };
                places.push((position.index.0, *number, place));
            }
        }
        Ok(places)
    }

    /// Says to readers what is on disk, and gives back the segments that nothing needs.
    fn publish(&self, batch: &Batch, places: Vec<EntryPlace>, entered: Option<Arc<Segment>>) {
        let metrics = &self.shared.metrics;
        metrics.group_entries.observe(places.len() as f64);
        let mut state = self.shared.lock();
        state.segments.extend(entered.map(Used::new));
        if let Some(active) = state.segments.back_mut() {
            active.end = self.offset;
        }
        for (item, _) in &batch.items {
            Used::note(state.segments.iter_mut(), item);
        }
        state.written_size += self.buffer.bytes.len() as u64;
        for (index, number, place) in places {
            state.index.written(index, number, place);
        }
        state.durable = self.base.last;
        state.index.trim();
        state.retire(self.base.first);
        if !state.retired.is_empty() {
            self.shared.making.notify_all();
        }
    }
}

fn call(flushed: Vec<Flushed>, result: &Result<(), Failure>) {
    for flushed in flushed {
        flushed.call(result.clone().map_err(|failure| failure.error()));
    }
}
