//! The thread that writes groups and votes.
//!
//! It takes all queued items, writes them as one group, syncs once, and calls the callbacks (group
//! commit). Items that are queued meanwhile form the next group.

use std::{io, mem, sync::Arc};

use crate::{
    bounds::{Item, LogBounds},
    error::Failure,
    group::{GroupBuffer, GroupId, group_size},
    index::DiskLocation,
    injected_fault::InjectedFault,
    item::BOUNDS_SIZE,
    queue::{Batch, FlushCallback},
    segment::{SEGMENT_HEADER_SIZE, Segment, SegmentUsage},
    shared::{FailOnPanic, Shared},
    synced_position::{SyncedFile, SyncedPosition},
    vote::{SavedVote, VoteFile},
};

/// Writes groups and votes, one after the other.
pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) vote_file: VoteFile,
    pub(crate) synced_file: SyncedFile,
    pub(crate) segment: Arc<Segment>,
    /// The offset of the next group.
    pub(crate) offset: u64,
    pub(crate) last_group: GroupId,
    /// The bounds of the log on disk.
    pub(crate) bounds: LogBounds,
    pub(crate) buffer: GroupBuffer,
}

/// A written entry: its index, its sequence number in the queue, and its location.
type WrittenEntry = (u64, u64, DiskLocation);

impl Writer {
    /// Writes until the log is closed or has failed.
    pub(crate) fn run(mut self) {
        let _fail_on_panic = FailOnPanic {
            shared: self.shared.clone(),
            text: "the thread that writes the log has panicked",
            fail: Shared::fail,
        };
        while let Some(batch) = self.next_batch() {
            let observer = self.shared.config.sync_observer.clone();
            observer
                .iter()
                .for_each(|observer| observer.write_started());
            let written = self.write(batch);
            observer
                .iter()
                .for_each(|observer| observer.write_finished());
            if let Err(failure) = written {
                return self.shared.fail(failure);
            }
        }
        // Only helps the next start to verify more. Nothing relies on it, so an error is ignored.
        let _ = self.synced_file.pair.file.sync_data();
    }

    /// Waits until the queue is due. `None` when the log is closed and the queue is empty.
    fn next_batch(&self) -> Option<Batch> {
        let mut state = self.shared.lock();
        while !state.queue.is_due && !state.is_closing {
            state = self.shared.wait(&self.shared.writer_work, state);
        }
        let batch = state.queue.take(self.shared.config.items_size_max());
        drop(state);
        self.shared.queue_room.notify_all();
        batch
    }

    fn write(&mut self, mut batch: Batch) -> Result<(), Failure> {
        let mut callbacks = mem::take(&mut batch.callbacks);
        if self.shared.config.has(InjectedFault::AckBeforeSync) {
            call(mem::take(&mut callbacks), &Ok(()));
        }
        let result = match batch.vote {
            Some(vote) => self.write_vote(vote),
            None if batch.items.is_empty() => Ok(()),
            None => self.write_group(&batch),
        };
        if let Err(failure) = &result {
            // Before the callbacks are called: the next call of these callers must fail too.
            self.shared.lock().failure = Some(failure.clone());
        }
        call(callbacks, &result);
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
        let has_changed_segment = self.switch_segment_if_full(batch.size)?;
        let segment = self.segment.clone();
        let locations = self.encode(&batch.items);
        let locations = locations.map_err(Failure::at(&segment.path))?;
        self.last_group = self.buffer.seal(self.shared.log_id, self.last_group);
        let bytes = &self.buffer.bytes;
        (segment.file.write_at(bytes, self.offset))
            .and_then(|()| segment.file.sync_data())
            .map_err(Failure::at(&segment.path))?;
        self.offset += bytes.len() as u64;
        let synced = SyncedPosition {
            segment: segment.number,
            end: self.offset,
            last_group: self.last_group,
        };
        let written = self.synced_file.write(synced);
        written.map_err(Failure::at(&self.synced_file.pair.path))?;
        self.publish(batch, locations, has_changed_segment.then_some(segment));
        Ok(())
    }

    /// Switches to the next segment if the group does not fit into the current one. Returns whether
    /// it did.
    fn switch_segment_if_full(&mut self, items_size: usize) -> Result<bool, Failure> {
        let bounds_size = match self.offset {
            SEGMENT_HEADER_SIZE => BOUNDS_SIZE,
            _ => 0,
        };
        // Even an empty segment can be too small, if it was created with another segment size.
        let end = self.offset + group_size(bounds_size + items_size) as u64;
        if end <= self.segment.size {
            return Ok(false);
        }
        self.segment = Arc::new(self.next_segment()?);
        self.offset = SEGMENT_HEADER_SIZE;
        Ok(true)
    }

    /// Waits for the next segment, also while the disk is full: the queued items are not
    /// acknowledged yet, and an error would stop the node. Fails when no segment can be allocated.
    fn next_segment(&self) -> Result<Segment, Failure> {
        let mut state = self.shared.lock();
        loop {
            if let Some(next) = state.next.take() {
                self.shared.allocator_work.notify_all();
                return Ok(next);
            }
            if let Some(failure) = &state.next_failure {
                return Err(failure.clone());
            }
            if state.is_full && state.is_closing {
                let error = io::ErrorKind::StorageFull.into();
                return Err(Failure::at(self.shared.dir())(error));
            }
            state = self.shared.wait(&self.shared.segment_ready, state);
        }
    }

    /// Encodes the items into the buffer, and returns the locations of the entries.
    fn encode(&mut self, items: &[(Item, u64)]) -> io::Result<Vec<WrittenEntry>> {
        let log_id = self.shared.log_id;
        self.buffer.start();
        if self.offset == SEGMENT_HEADER_SIZE {
            self.buffer.push(log_id, &Item::Bounds(self.bounds));
        }
        let mut locations = Vec::with_capacity(items.len());
        for (item, number) in items {
            self.bounds = self.bounds.after(item).map_err(io::Error::other)?;
            let offset = self.offset + self.buffer.push(log_id, item) as u64;
            if let Item::Entry(position, _) = item {
                let location = DiskLocation {
                    segment: self.segment.number,
                    offset: u32::try_from(offset).map_err(io::Error::other)?,
                    size: item.size() as u32,
                };
                locations.push((position.index.0, *number, location));
            }
        }
        Ok(locations)
    }

    /// Makes the written group visible to readers, and retires purged segments.
    fn publish(
        &self,
        batch: &Batch,
        locations: Vec<WrittenEntry>,
        new_segment: Option<Arc<Segment>>,
    ) {
        let metrics = &self.shared.metrics;
        metrics.group_entries.observe(locations.len() as f64);
        let mut state = self.shared.lock();
        state.segments.extend(new_segment.map(SegmentUsage::new));
        if let Some(active) = state.segments.back_mut() {
            active.end = self.offset;
        }
        for (item, _) in &batch.items {
            SegmentUsage::record(state.segments.iter_mut(), item);
        }
        state.written_size += self.buffer.bytes.len() as u64;
        for (index, number, location) in locations {
            state.index.set_written(index, number, location);
        }
        state.durable = self.bounds.last;
        state.index.trim_payloads();
        state.retire(self.bounds.first);
        if !state.retired.is_empty() {
            self.shared.allocator_work.notify_all();
        }
    }
}

fn call(callbacks: Vec<FlushCallback>, result: &Result<(), Failure>) {
    for callback in callbacks {
        callback.call(result.clone().map_err(|failure| failure.error()));
    }
}
