//! The log.

use std::{
    cmp::Ordering,
    io,
    ops::Range,
    sync::{Arc, MutexGuard},
    thread::{self, JoinHandle},
};

use bytes::Bytes;
use quorate_disk::DiskFile;
use quorate_state::LogPosition;

use crate::{
    LogConfig, LogError, LogMetrics, Scrub,
    bounds::Item,
    group::GroupBuffer,
    index::{DiskLocation, Location, invalid_input},
    queue::{FlushCallback, OnFlushed},
    recovery::{RecoveredLog, recover},
    segment::Segment,
    segment_allocator::SegmentAllocator,
    shared::{LogState, Shared},
    vote::SavedVote,
    writer::Writer,
};

/// The most bytes in the queue. Beyond it `append` waits, which slows the leader down to the speed
/// of the disk. Without the limit a slow disk would fill all memory.
const QUEUE_SIZE_MAX: usize = 64 * 1024 * 1024;

/// The state of the log, except for its entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// The last vote saved.
    pub vote: Option<SavedVote>,
    /// The last entry, or the last purged one if there is none.
    pub last: Option<LogPosition>,
    /// The last entry that is known to be committed. Later ones may be committed too.
    pub committed: Option<LogPosition>,
    /// The last entry removed from the front.
    pub purged: Option<LogPosition>,
}

/// The Raft log of one node. Dropping it writes the queued items, as far as there is space.
pub struct Log {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
    allocator: Option<JoinHandle<()>>,
    _lock: Arc<dyn DiskFile>,
}

impl Log {
    /// Opens the log in `config.dir` and reads all of it, or creates it.
    ///
    /// Fails when anything is missing that was durable once.
    pub fn open(config: LogConfig, metrics: LogMetrics) -> Result<Self, LogError> {
        let recovered = recover(&config)?;
        let dir = config.dir.clone();
        Self::start(config, metrics, recovered).map_err(LogError::io(&dir))
    }

    fn start(config: LogConfig, metrics: LogMetrics, recovered: RecoveredLog) -> io::Result<Self> {
        let active = recovered.segments.back().cloned();
        let active = active.ok_or_else(|| io::Error::other("a log has a segment"))?;
        let (bounds, log_id) = (recovered.index.bounds, recovered.vote_file.pair.log_id);
        let synced = recovered.synced_file.pair.file.clone();
        let (index, segments) = (recovered.index, recovered.segments);
        let shared = Shared::new(config, log_id, metrics, synced, index, segments);
        shared.lock().retire(bounds.first);
        let shared = Arc::new(shared);
        let allocator = SegmentAllocator {
            shared: shared.clone(),
            spares: recovered.spares,
            retry_at: None,
        };
        let writer = Writer {
            shared: shared.clone(),
            vote_file: recovered.vote_file,
            synced_file: recovered.synced_file,
            segment: active.segment,
            offset: active.end,
            last_group: recovered.last_group,
            bounds,
            buffer: GroupBuffer::default(),
        };
        let spawn = |name: &str| thread::Builder::new().name(name.into());
        let mut log = Self {
            shared,
            writer: None,
            allocator: None,
            _lock: recovered.lock,
        };
        log.allocator = Some(spawn("log-segments").spawn(|| allocator.run())?);
        log.writer = Some(spawn("log-writer").spawn(|| writer.run())?);
        Ok(log)
    }

    /// The vote, and the last, committed and purged position, including queued changes.
    pub fn state(&self) -> State {
        let state = self.shared.lock();
        let bounds = &state.index.bounds;
        State {
            vote: state.index.vote,
            last: bounds.last,
            committed: bounds.committed,
            purged: bounds.purged,
        }
    }

    /// The last entry on disk, or the last purged one if there is none. It is updated before the
    /// callback of the entry is called.
    pub fn durable(&self) -> Option<LogPosition> {
        self.shared.lock().durable
    }

    /// Appends entries, which must follow the last one without a gap. They can be read when this
    /// returns, and are on disk when `on_flushed` is called. Waits while the queue is full.
    ///
    /// Fails with [`io::ErrorKind::InvalidInput`], and changes nothing, when they do not follow the
    /// last one, or one is too large for a segment or a group. Always fails once the disk has
    /// failed.
    pub fn append(
        &self,
        entries: impl IntoIterator<Item = (LogPosition, Bytes)>,
        on_flushed: OnFlushed,
    ) -> io::Result<()> {
        let entries = entries.into_iter();
        let entries: Vec<_> = entries.map(|(at, bytes)| Item::Entry(at, bytes)).collect();
        let mut state = self.shared.lock_working()?;
        while state.queue.size >= QUEUE_SIZE_MAX {
            state = self.shared.wait(&self.shared.queue_room, state);
            if let Some(failure) = &state.failure {
                return Err(failure.error());
            }
        }
        self.check(&state, &entries)?;
        for entry in entries {
            let number = state.queue.push_item(entry.clone());
            state.index.push(&entry, Location::Queued(number))?;
        }
        self.flush(state, Some(on_flushed));
        Ok(())
    }

    /// Saves a vote, which must not be older than the last. It is on disk when `on_flushed` is
    /// called.
    pub fn save_vote(&self, vote: SavedVote, on_flushed: OnFlushed) -> io::Result<()> {
        let mut state = self.shared.lock_working()?;
        let is_older = |last| vote.partial_cmp(last).is_none_or(Ordering::is_lt);
        if state.index.vote.as_ref().is_some_and(is_older) {
            let text = format!("{vote:?} is older than {:?}", state.index.vote);
            return Err(invalid_input(text));
        }
        state.index.vote = Some(vote);
        state.queue.push_vote(vote);
        self.flush(state, Some(on_flushed));
        Ok(())
    }

    /// Records the committed position. It is written with the next group. Losing it does no harm:
    /// the leader sends it again.
    pub fn save_committed(&self, position: LogPosition) -> io::Result<()> {
        let mut state = self.shared.lock_working()?;
        state.index.apply(&Item::Committed(position))?;
        state.queue.push_item(Item::Committed(position));
        Ok(())
    }

    /// Removes the entries after `last`, or all of them.
    pub fn truncate_after(&self, last: Option<LogPosition>) -> io::Result<()> {
        let state = self.shared.lock_working()?;
        match state.index.truncation(last)? {
            Some(item) => self.change(state, item),
            None => Ok(()),
        }
    }

    /// Removes the entries up to and including `upto`, which may be after the last one. Their
    /// segments are removed once the purge is on disk.
    pub fn purge(&self, upto: LogPosition) -> io::Result<()> {
        let state = self.shared.lock_working()?;
        match state.index.bounds.has_purged(upto) {
            true => Ok(()),
            false => self.change(state, Item::Purge(upto)),
        }
    }

    /// Calls `on_flushed` once everything written so far is on disk.
    pub fn sync(&self, on_flushed: OnFlushed) -> io::Result<()> {
        let state = self.shared.lock_working()?;
        self.flush(state, Some(on_flushed));
        Ok(())
    }

    /// Reads the entries in `range` that are in the log, without a gap. Stops after the entry with
    /// which the payloads reach `size_max` bytes, and before an entry that is purged or truncated
    /// meanwhile. Starts after `range.start` when the entries there were purged.
    ///
    /// Fails with [`io::ErrorKind::InvalidData`] when an entry on disk is damaged.
    pub fn read(
        &self,
        range: Range<u64>,
        size_max: usize,
    ) -> io::Result<Vec<(LogPosition, Bytes)>> {
        let mut entries = Vec::new();
        for source in self.sources(range, size_max) {
            match source {
                Source::Memory(position, payload) => entries.push((position, payload)),
                Source::Disk(position, location, segment) => {
                    match self.read_from_disk(position, location, &segment)? {
                        Some(payload) => entries.push((position, payload)),
                        None => break,
                    }
                }
            }
        }
        Ok(entries)
    }

    /// The bytes of groups found when the log was opened plus those written since. A purge does not
    /// reduce it.
    pub fn written_size(&self) -> u64 {
        self.shared.lock().written_size
    }

    /// Whether the disk has no space for a further segment. New entries then fill the allocated
    /// segments. After that they wait until there is space again.
    pub fn is_full(&self) -> bool {
        self.shared.lock().is_full
    }

    /// The size of the groups from the first entry to the last, in bytes. The segments are larger:
    /// the start of the first one may be purged, and the end of the last one is empty.
    pub fn size(&self) -> u64 {
        self.shared.lock().size()
    }

    /// Starts to read the files, to find damage before their content is needed.
    pub fn scrub(&self) -> Scrub {
        Scrub::new(self.shared.clone())
    }

    /// Fails when the entries do not follow the last one, or one is too large for a group.
    fn check(&self, state: &LogState, entries: &[Item]) -> io::Result<()> {
        let size_max = self.shared.config.payload_size_max();
        let mut bounds = state.index.bounds;
        for entry in entries {
            let checked = bounds.after(entry);
            let checked = checked.and_then(|after| match entry {
                Item::Entry(position, payload) if payload.len() > size_max => Err(format!(
                    "{position:?} has {} bytes, but an entry can have at most {size_max}",
                    payload.len()
                )),
                _ => Ok(after),
            });
            bounds = checked.map_err(invalid_input)?;
        }
        Ok(())
    }

    /// Applies the item to the index and queues it.
    fn change(&self, mut state: MutexGuard<'_, LogState>, item: Item) -> io::Result<()> {
        state.index.apply(&item)?;
        state.queue.push_item(item);
        self.flush(state, None);
        Ok(())
    }

    /// Makes the writer write the queue. Calls `on_flushed` when it is on disk.
    fn flush(&self, mut state: MutexGuard<'_, LogState>, on_flushed: Option<OnFlushed>) {
        if let Some(on_flushed) = on_flushed {
            let duration = self.shared.metrics.flush_duration_seconds.clone();
            let callback = FlushCallback::new(on_flushed, duration);
            state.queue.push_callback(callback);
        }
        state.queue.is_due = true;
        drop(state);
        self.shared.writer_work.notify_one();
    }

    /// Where to read the entries from at this time.
    fn sources(&self, range: Range<u64>, size_max: usize) -> Vec<Source> {
        let state = self.shared.lock();
        let mut sources = Vec::new();
        let mut size = 0;
        let range = state.index.intersect(range);
        for entry in range.map_while(|at| state.index.find(at)) {
            let source = match (entry.payload, entry.location) {
                (Some(payload), _) => {
                    size += payload.len();
                    Source::Memory(entry.position, payload)
                }
                (None, Location::Disk(location)) => {
                    size += location.payload_size();
                    match state.segment(location.segment) {
                        Some(usage) => {
                            Source::Disk(entry.position, location, usage.segment.clone())
                        }
                        None => break,
                    }
                }
                (None, _) => break,
            };
            sources.push(source);
            if size >= size_max {
                break;
            }
        }
        sources
    }

    /// The payload of an entry, or `None` if the entry was removed meanwhile.
    fn read_from_disk(
        &self,
        position: LogPosition,
        location: DiskLocation,
        segment: &Segment,
    ) -> io::Result<Option<Bytes>> {
        let damage = match segment.read_entry(self.shared.log_id, location) {
            Ok((found, payload)) if found == position => return Ok(Some(payload)),
            Ok((found, _)) => {
                let what = format!("it contains entry {found:?} instead of {position:?}");
                segment.damage(u64::from(location.offset), what)
            }
            Err(damage) => damage,
        };
        let found = self.shared.lock().index.find(position.index.0);
        match found {
            Some(found)
                if found.position == position && found.location == Location::Disk(location) =>
            {
                self.shared.metrics.damaged_total.inc();
                Err(io::Error::new(io::ErrorKind::InvalidData, damage))
            }
            _ => Ok(None),
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.shared.lock().is_closing = true;
        self.shared.writer_work.notify_all();
        self.shared.segment_ready.notify_all();
        join(self.writer.take());
        self.shared.lock().is_closed = true;
        self.shared.allocator_work.notify_all();
        join(self.allocator.take());
    }
}

/// Waits for the thread to end, unless it is the current one: a callback, which runs on the
/// writer's thread, may drop the last reference to the log.
fn join(thread: Option<JoinHandle<()>>) {
    let other = thread.filter(|thread| thread.thread().id() != thread::current().id());
    // A panic was already reported to all callers, by `FailOnPanic`.
    let _ = other.map(JoinHandle::join);
}

/// Where an entry is read from.
enum Source {
    Memory(LogPosition, Bytes),
    Disk(LogPosition, DiskLocation, Arc<Segment>),
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
