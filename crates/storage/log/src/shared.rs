//! The state that callers, the writer and the segment allocator share.

use std::{
    collections::VecDeque,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use quorate_disk::DiskFile;
use quorate_state::LogPosition;

use crate::{
    LogConfig, LogMetrics,
    error::Failure,
    index::{Index, Location},
    queue::Queue,
    segment::{SEGMENT_HEADER_SIZE, SPARE_EXTENSION, Segment, SegmentUsage, segment_path},
};

/// The shared state. It has one lock, which is never held across I/O.
pub(crate) struct Shared {
    pub(crate) config: LogConfig,
    pub(crate) log_id: u64,
    pub(crate) metrics: LogMetrics,
    /// The file of the synced position. The allocator syncs it.
    pub(crate) synced_file: Arc<dyn DiskFile>,
    state: Mutex<LogState>,
    /// Notified when there is work for the writer.
    pub(crate) writer_work: Condvar,
    /// Notified when there is room in the queue.
    pub(crate) queue_room: Condvar,
    /// Notified when there is work for the segment allocator.
    pub(crate) allocator_work: Condvar,
    /// Notified when the next segment is allocated, or cannot be.
    pub(crate) segment_ready: Condvar,
}

#[derive(Default)]
pub(crate) struct LogState {
    pub(crate) index: Index,
    /// The last entry on disk, or the last purged one if there is none.
    pub(crate) durable: Option<LogPosition>,
    pub(crate) queue: Queue,
    /// The first error. After it nothing is written any more.
    pub(crate) failure: Option<Failure>,
    /// Segments in use, and how much of each is synced.
    pub(crate) segments: VecDeque<SegmentUsage>,
    /// Purged segments that the allocator should turn into spares.
    pub(crate) retired: VecDeque<Arc<Segment>>,
    /// The next segment, allocated in advance.
    pub(crate) next: Option<Segment>,
    /// The number of the next segment to allocate.
    pub(crate) next_number: u64,
    /// Whether the disk has no space for the next segment.
    pub(crate) is_full: bool,
    /// Why no further segment can be allocated.
    pub(crate) next_failure: Option<Failure>,
    /// The bytes of groups found when the log was opened plus those written since.
    pub(crate) written_size: u64,
    /// Whether the log is being closed.
    pub(crate) is_closing: bool,
    /// Whether the writer has ended.
    pub(crate) is_closed: bool,
}

impl Shared {
    pub(crate) fn new(
        config: LogConfig,
        log_id: u64,
        metrics: LogMetrics,
        synced_file: Arc<dyn DiskFile>,
        index: Index,
        segments: VecDeque<SegmentUsage>,
    ) -> Self {
        let written_size = segments.iter().map(SegmentUsage::size).sum();
        let next_number = segments.back().map_or(1, |usage| usage.segment.number + 1);
        let state = LogState {
            durable: index.bounds.last,
            index,
            segments,
            next_number,
            written_size,
            ..LogState::default()
        };
        Self {
            config,
            log_id,
            metrics,
            synced_file,
            state: Mutex::new(state),
            writer_work: Condvar::new(),
            queue_room: Condvar::new(),
            allocator_work: Condvar::new(),
            segment_ready: Condvar::new(),
        }
    }

    /// Locks the state. Every change is checked before it is applied, so a panic leaves the state
    /// consistent, and a poisoned lock can be used.
    pub(crate) fn lock(&self) -> MutexGuard<'_, LogState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn wait<'a>(
        &self,
        condition: &Condvar,
        state: MutexGuard<'a, LogState>,
    ) -> MutexGuard<'a, LogState> {
        condition
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for `limit` at most.
    pub(crate) fn wait_timeout<'a>(
        &self,
        condition: &Condvar,
        state: MutexGuard<'a, LogState>,
        limit: Duration,
    ) -> MutexGuard<'a, LogState> {
        let woken = condition.wait_timeout(state, limit);
        woken.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Locks the state. Fails when the log has failed.
    pub(crate) fn lock_working(&self) -> io::Result<MutexGuard<'_, LogState>> {
        let state = self.lock();
        match &state.failure {
            Some(failure) => Err(failure.error()),
            None => Ok(state),
        }
    }

    /// Stops all writing permanently: what the kernel dropped after a failed sync cannot be written
    /// again. All waiting callers get the error.
    pub(crate) fn fail(&self, failure: Failure) {
        let mut state = self.lock();
        let failure = state.failure.get_or_insert(failure).clone();
        let abandoned = state.queue.abandon();
        drop(state);
        self.queue_room.notify_all();
        for callback in abandoned {
            callback.call(Err(failure.error()));
        }
    }

    /// Makes the writer fail, instead of waiting for a segment that is never allocated.
    pub(crate) fn stop_allocating(&self, failure: Failure) {
        self.lock().next_failure = Some(failure);
        self.segment_ready.notify_all();
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.config.dir
    }

    pub(crate) fn spare_path(&self, number: u64) -> PathBuf {
        segment_path(self.dir(), number).with_extension(SPARE_EXTENSION)
    }
}

impl LogState {
    pub(crate) fn segment(&self, number: u64) -> Option<&SegmentUsage> {
        let front = self.segments.front()?.segment.number;
        self.segments
            .get(usize::try_from(number.checked_sub(front)?).ok()?)
    }

    /// The size of the groups from the first entry to the last, in bytes.
    pub(crate) fn size(&self) -> u64 {
        let Some(Location::Disk(first)) = self.index.first_location() else {
            return 0;
        };
        let segments = self.segments.iter();
        let kept = segments.filter(|usage| usage.segment.number >= first.segment);
        let before = u64::from(first.offset) - SEGMENT_HEADER_SIZE;
        kept.map(SegmentUsage::size).sum::<u64>() - before
    }

    /// Retires the first segments, as long as they contain no entry with `first_index` or later.
    /// `first_index` is the first entry on disk, not in memory: a queued purge may be lost with the
    /// power, and then the entries must still be there.
    pub(crate) fn retire(&mut self, first_index: u64) {
        while self.segments.len() > 1 && !self.segments[0].is_needed(first_index) {
            self.retired
                .extend(self.segments.pop_front().map(|usage| usage.segment));
        }
    }
}

/// Reports a failure to all waiting callers when the thread that owns it panics.
pub(crate) struct FailOnPanic {
    pub(crate) shared: Arc<Shared>,
    pub(crate) text: &'static str,
    pub(crate) fail: fn(&Shared, Failure),
}

impl Drop for FailOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            let error = io::Error::other(self.text);
            (self.fail)(&self.shared, Failure::at(self.shared.dir())(error));
        }
    }
}
