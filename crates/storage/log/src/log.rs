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
    base::Item,
    group::GroupBuffer,
    index::{DiskPlace, Place, invalid},
    queue::{Flushed, OnFlushed},
    recovery::{Recovered, recover},
    segment::Segment,
    segment_allocator::SegmentAllocator,
    shared::{LogState, Shared},
    vote::SavedVote,
    writer::Writer,
};

/// The most bytes that wait to be written. Beyond it `append` waits, which slows the leader down to
/// the speed of the disk; a slow disk would else take all memory.
const QUEUE_SIZE_MAX: usize = 64 * 1024 * 1024;

/// What the log knows beside its entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// The last vote saved.
    pub vote: Option<SavedVote>,
    /// The last entry, or the last purged one if there is none.
    pub last: Option<LogPosition>,
    /// What was known to be committed, perhaps less than what is.
    pub committed: Option<LogPosition>,
    /// The last entry removed from the front.
    pub purged: Option<LogPosition>,
}

/// The Raft log of one node. Dropping it writes what is queued, as far as there is space.
pub struct Log {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
    maker: Option<JoinHandle<()>>,
    _lock: Arc<dyn DiskFile>,
}

impl Log {
    /// Opens the log in `config.dir`, reading all of it, or makes it.
    ///
    /// Fails closed: where something is missing that was durable once, the log is refused.
    pub fn open(config: LogConfig, metrics: LogMetrics) -> Result<Self, LogError> {
        let recovered = recover(&config)?;
        let dir = config.dir.clone();
        Self::start(config, metrics, recovered).map_err(LogError::io(&dir))
    }

    fn start(config: LogConfig, metrics: LogMetrics, recovered: Recovered) -> io::Result<Self> {
        let active = recovered.segments.back().cloned();
        let active = active.ok_or_else(|| io::Error::other("a log has a segment"))?;
        let (base, log_id) = (recovered.index.base, recovered.vote_file.pair.log_id);
        let synced = recovered.synced_file.pair.file.clone();
        let (index, segments) = (recovered.index, recovered.segments);
        let shared = Shared::new(config, log_id, metrics, synced, index, segments);
        shared.lock().retire(base.first);
        let shared = Arc::new(shared);
        let maker = SegmentAllocator {
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
            link: recovered.link,
            base,
            buffer: GroupBuffer::default(),
        };
        let spawn = |name: &str| thread::Builder::new().name(name.into());
        let mut log = Self {
            shared,
            writer: None,
            maker: None,
            _lock: recovered.lock,
        };
        log.maker = Some(spawn("log-segments").spawn(|| maker.run())?);
        log.writer = Some(spawn("log-writer").spawn(|| writer.run())?);
        Ok(log)
    }

    /// Vote, last, committed and purged position, as queued last.
    pub fn state(&self) -> State {
        let state = self.shared.lock();
        let base = &state.index.base;
        State {
            vote: state.index.vote,
            last: base.last,
            committed: base.committed,
            purged: base.purged,
        }
    }

    /// The last entry on disk, or the last purged one if there is none. Whoever was told that an entry
    /// is flushed finds it here.
    pub fn durable(&self) -> Option<LogPosition> {
        self.shared.lock().durable
    }

    /// Appends entries, which must follow the last one without a gap. They can be read when this
    /// returns, and are on disk when `on_flushed` is called. Waits while the queue is full.
    ///
    /// Fails, and changes nothing, with [`io::ErrorKind::InvalidInput`] when they do not follow or
    /// one is larger than a segment or a group can hold; and for ever once the disk has failed.
    pub fn append(
        &self,
        entries: impl IntoIterator<Item = (LogPosition, Bytes)>,
        on_flushed: OnFlushed,
    ) -> io::Result<()> {
        let entries = entries.into_iter();
        let entries: Vec<_> = entries.map(|(at, bytes)| Item::Entry(at, bytes)).collect();
        let mut state = self.shared.lock_working()?;
        while state.queue.size >= QUEUE_SIZE_MAX {
            state = self.shared.wait(&self.shared.room, state);
            if let Some(failure) = &state.failure {
                return Err(failure.error());
            }
        }
        self.check(&state, &entries)?;
        for entry in entries {
            let number = state.queue.push_item(entry.clone());
            state.index.push(&entry, Place::Queued(number))?;
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
            return Err(invalid(text));
        }
        state.index.vote = Some(vote);
        state.queue.push_vote(vote);
        self.flush(state, Some(on_flushed));
        Ok(())
    }

    /// Notes what is committed. Not synced: the next group takes it along, and losing it loses
    /// nothing but the knowledge.
    pub fn save_committed(&self, position: LogPosition) -> io::Result<()> {
        let mut state = self.shared.lock_working()?;
        state.index.apply(&Item::Committed(position))?;
        state.queue.push_item(Item::Committed(position));
        Ok(())
    }

    /// Removes the entries behind `last`, or all of them.
    pub fn truncate_after(&self, last: Option<LogPosition>) -> io::Result<()> {
        let state = self.shared.lock_working()?;
        match state.index.truncation(last)? {
            Some(item) => self.change(state, item),
            None => Ok(()),
        }
    }

    /// Removes the entries up to and including `upto`, which may lie behind the last one. Their
    /// segments go once this is on disk.
    pub fn purge(&self, upto: LogPosition) -> io::Result<()> {
        let state = self.shared.lock_working()?;
        match state.index.base.has_purged(upto) {
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

    /// Reads the entries in `range` that the log holds, and stops early behind the entry with which
    /// the payloads reach `size_max` bytes. What was purged is left out, and what is purged or
    /// truncated meanwhile may end it early: so it may start behind `range.start`, but has no gap.
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
                Source::Disk(position, place, segment) => {
                    match self.read_from_disk(position, place, &segment)? {
                        Some(payload) => entries.push((position, payload)),
                        None => break,
                    }
                }
            }
        }
        Ok(entries)
    }

    /// The bytes ever written since the log was opened, and those found then. Purging takes nothing
    /// away.
    pub fn written_size(&self) -> u64 {
        self.shared.lock().written_size
    }

    /// Whether the disk has no space for a further segment. What is appended goes into what is left of
    /// the last ones, and waits when that is used up, until there is space again.
    pub fn is_full(&self) -> bool {
        self.shared.lock().is_full
    }

    /// The size of the entries held, with what stands between them on disk, in bytes. The segments
    /// are larger: their front may be purged and the end of the last one is empty.
    pub fn size(&self) -> u64 {
        self.shared.lock().size()
    }

    /// Begins to read again what is on disk, to find damage before it is needed.
    pub fn scrub(&self) -> Scrub {
        Scrub::new(self.shared.clone())
    }

    /// Refuses entries that do not follow, or that no group can hold.
    fn check(&self, state: &LogState, entries: &[Item]) -> io::Result<()> {
        let size_max = self.shared.config.payload_size_max();
        let mut base = state.index.base;
        for entry in entries {
            let checked = base.after(entry);
            let checked = checked.and_then(|after| match entry {
                Item::Entry(position, payload) if payload.len() > size_max => Err(format!(
                    "{position:?} has {} bytes, and an entry has room for {size_max}",
                    payload.len()
                )),
                _ => Ok(after),
            });
            base = checked.map_err(invalid)?;
        }
        Ok(())
    }

    /// Changes index and queue alike.
    fn change(&self, mut state: MutexGuard<'_, LogState>, item: Item) -> io::Result<()> {
        state.index.apply(&item)?;
        state.queue.push_item(item);
        self.flush(state, None);
        Ok(())
    }

    /// Has the writer write what waits.
    fn flush(&self, mut state: MutexGuard<'_, LogState>, on_flushed: Option<OnFlushed>) {
        if let Some(on_flushed) = on_flushed {
            let duration = self.shared.metrics.flush_duration_seconds.clone();
            let flushed = Flushed::new(on_flushed, duration);
            state.queue.push_flushed(flushed);
        }
        state.queue.is_due = true;
        drop(state);
        self.shared.work.notify_one();
    }

    /// Where to read the entries from, as it is now.
    fn sources(&self, range: Range<u64>, size_max: usize) -> Vec<Source> {
        let state = self.shared.lock();
        let mut sources = Vec::new();
        let mut size = 0;
        for found in state.index.held(range).map_while(|at| state.index.find(at)) {
            let source = match (found.payload, found.place) {
                (Some(payload), _) => {
                    size += payload.len();
                    Source::Memory(found.position, payload)
                }
                (None, Place::Disk(place)) => {
                    size += place.payload_size();
                    match state.segment(place.segment) {
                        Some(used) => Source::Disk(found.position, place, used.segment.clone()),
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

    /// The payload of an entry, and nothing if the entry has gone meanwhile.
    fn read_from_disk(
        &self,
        position: LogPosition,
        place: DiskPlace,
        segment: &Segment,
    ) -> io::Result<Option<Bytes>> {
        let damage = match segment.read_entry(self.shared.log_id, place) {
            Ok((found, payload)) if found == position => return Ok(Some(payload)),
            Ok((found, _)) => {
                let what = format!("{found:?} stands where {position:?} was written");
                segment.damage(u64::from(place.offset), what)
            }
            Err(damage) => damage,
        };
        let found = self.shared.lock().index.find(position.index.0);
        match found {
            Some(found) if found.position == position && found.place == Place::Disk(place) => {
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
        self.shared.work.notify_all();
        self.shared.made.notify_all();
        join(self.writer.take());
        self.shared.lock().is_closed = true;
        self.shared.making.notify_all();
        join(self.maker.take());
    }
}

/// Waits for a thread, but for this one: a callback may hold the last reference to the log.
fn join(thread: Option<JoinHandle<()>>) {
    let other = thread.filter(|thread| thread.thread().id() != thread::current().id());
    // A panic there was told to everybody who waited.
    let _ = other.map(JoinHandle::join);
}

/// Where an entry is read from.
enum Source {
    Memory(LogPosition, Bytes),
    Disk(LogPosition, DiskPlace, Arc<Segment>),
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
