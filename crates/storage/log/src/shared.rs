//! What callers, the writer and the maker of segments share.

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
    index::{Index, Place},
    queue::Queue,
    segment::{SEGMENT_HEADER_SIZE, SPARE_EXTENSION, Segment, Used, segment_path},
};

/// Everything under one lock, which is never held across I/O.
pub(crate) struct Shared {
    pub(crate) config: LogConfig,
    pub(crate) log_id: u64,
    pub(crate) metrics: LogMetrics,
    /// The file of the synced position, to be synced.
    pub(crate) synced_file: Arc<dyn DiskFile>,
    state: Mutex<LogState>,
    /// There is work for the writer.
    pub(crate) work: Condvar,
    /// There is room in the queue.
    pub(crate) room: Condvar,
    /// There is work for the maker of segments.
    pub(crate) making: Condvar,
    /// There is a segment to go on with, or there will be none.
    pub(crate) made: Condvar,
}

#[derive(Default)]
pub(crate) struct LogState {
    pub(crate) index: Index,
    /// The last entry on disk, or the last purged one if there is none.
    pub(crate) durable: Option<LogPosition>,
    pub(crate) queue: Queue,
    /// The first error, after which nothing is written any more.
    pub(crate) failure: Option<Failure>,
    /// Segments in use, and how much of each is synced.
    pub(crate) segments: VecDeque<Used>,
    /// Segments from the front that nothing needs any more.
    pub(crate) retired: VecDeque<Arc<Segment>>,
    /// The segment to go on with.
    pub(crate) next: Option<Segment>,
    /// The number of the next to be made.
    pub(crate) next_number: u64,
    /// The next one cannot be made for now: the disk is full.
    pub(crate) is_full: bool,
    /// Why there will be none.
    pub(crate) next_failure: Option<Failure>,
    /// Bytes of groups written since the log was opened, and those found then.
    pub(crate) written_size: u64,
    /// The log is being closed.
    pub(crate) is_closing: bool,
    /// The writer has written its last.
    pub(crate) is_closed: bool,
}

impl Shared {
    pub(crate) fn new(
        config: LogConfig,
        log_id: u64,
        metrics: LogMetrics,
        synced_file: Arc<dyn DiskFile>,
        index: Index,
        segments: VecDeque<Used>,
    ) -> Self {
        let written_size = segments.iter().map(Used::size).sum();
        let next_number = segments.back().map_or(1, |used| used.segment.number + 1);
        let state = LogState {
            durable: index.base.last,
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
            work: Condvar::new(),
            room: Condvar::new(),
            making: Condvar::new(),
            made: Condvar::new(),
        }
    }

    /// What is changed under the lock is checked first, so a panic leaves nothing half done.
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

    /// Waits for so long at most.
    pub(crate) fn wait_for<'a>(
        &self,
        condition: &Condvar,
        state: MutexGuard<'a, LogState>,
        limit: Duration,
    ) -> MutexGuard<'a, LogState> {
        let woken = condition.wait_timeout(state, limit);
        woken.unwrap_or_else(PoisonError::into_inner).0
    }

    /// The log, unless it has failed.
    pub(crate) fn lock_working(&self) -> io::Result<MutexGuard<'_, LogState>> {
        let state = self.lock();
        match &state.failure {
            Some(failure) => Err(failure.error()),
            None => Ok(state),
        }
    }

    /// Ends all writing for ever: what the kernel dropped after a failed sync cannot be written
    /// again. Everybody who waits is told.
    pub(crate) fn fail(&self, failure: Failure) {
        let mut state = self.lock();
        let failure = state.failure.get_or_insert(failure).clone();
        let abandoned = state.queue.abandon();
        drop(state);
        self.room.notify_all();
        for flushed in abandoned {
            flushed.call(Err(failure.error()));
        }
    }

    /// Has the writer not wait for a segment that nobody makes.
    pub(crate) fn make_no_more(&self, failure: Failure) {
        self.lock().next_failure = Some(failure);
        self.made.notify_all();
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.config.dir
    }

    pub(crate) fn spare_path(&self, number: u64) -> PathBuf {
        segment_path(self.dir(), number).with_extension(SPARE_EXTENSION)
    }
}

impl LogState {
    pub(crate) fn segment(&self, number: u64) -> Option<&Used> {
        let front = self.segments.front()?.segment.number;
        self.segments
            .get(usize::try_from(number.checked_sub(front)?).ok()?)
    }

    /// The size of the groups from the first entry held to the end, in bytes.
    pub(crate) fn size(&self) -> u64 {
        let Some(Place::Disk(first)) = self.index.first_place() else {
            return 0;
        };
        let segments = self.segments.iter();
        let kept = segments.filter(|used| used.segment.number >= first.segment);
        let before = u64::from(first.offset) - SEGMENT_HEADER_SIZE;
        kept.map(Used::size).sum::<u64>() - before
    }

    /// Takes the segments out of use that hold no entry from `first_index` on, the first that is
    /// held on disk. In memory there may be fewer, but those are what a loss of power leaves.
    pub(crate) fn retire(&mut self, first_index: u64) {
        while self.segments.len() > 1 && !self.segments[0].is_needed(first_index) {
            self.retired
                .extend(self.segments.pop_front().map(|used| used.segment));
        }
    }
}

/// Tells who waits for a thread that it has panicked.
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
