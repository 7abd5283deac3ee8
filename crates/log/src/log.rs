//! The log.

use std::{
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use quorate_state::LogPosition;
use raft_log::{RaftLog, Types, api::raft_log_writer::RaftLogWriter, chunked_wal};

use crate::{
    Metrics,
    codec::{Payload, Position, Vote},
};

/// How long the writer waits for company before it syncs: not at all. Raft hands over what it has in
/// one piece, and what comes during a sync makes the next group; a timed wait, however short, costs
/// the kernel's timer slack of 50 µs each time (measured: 370 against 230 µs from queue to disk).
const GROUP_WAIT: Duration = Duration::from_nanos(1);

/// The most writes in one group.
const GROUP_COUNT_MAX: usize = 2048;

/// The most bytes that wait to be written. Beyond it `append` waits, which slows the leader down to
/// the speed of the disk.
const QUEUE_SIZE_MAX: usize = 64 * 1024 * 1024;

/// The buffer that reads a chunk at start, in bytes.
const READ_BUFFER_SIZE: usize = 1024 * 1024;

/// Where the log lives and how large its parts are.
#[derive(Debug, Clone)]
pub struct Config {
    /// The directory, created if absent. One process at a time holds it.
    pub dir: PathBuf,
    /// The size at which a chunk is closed and the next begun, in bytes. Purging frees whole
    /// chunks, and the entries of the last ones stay in memory: this is the floor of both.
    pub chunk_size_max: usize,
    /// The most bytes of entries kept in memory for followers.
    pub cache_size_max: usize,
}

impl Config {
    /// The defaults for a log in `dir`.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            chunk_size_max: 64 * 1024 * 1024,
            cache_size_max: 64 * 1024 * 1024,
        }
    }
}

/// What the log knows beside its entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// The last vote saved.
    pub vote: Option<Vote>,
    /// The last entry, or the last purged one if there is none.
    pub last: Option<LogPosition>,
    /// What was known to be committed, perhaps less than what is.
    pub committed: Option<LogPosition>,
    /// The last entry removed from the front.
    pub purged: Option<LogPosition>,
}

/// Called once what was queued is on disk, or can never be.
pub type OnFlushed = Box<dyn FnOnce(io::Result<()>) + Send>;

/// The Raft log of one node.
pub struct Log {
    inner: Mutex<RaftLog<Schema>>,
    metrics: Metrics,
}

impl Log {
    /// Opens the log in `config.dir`, reading all of it.
    pub fn open(config: Config, metrics: Metrics) -> Result<Self, LogError> {
        let path = config.dir.clone();
        std::fs::create_dir_all(&path).map_err(LogError::at(&path))?;
        let mut wal = chunked_wal::Config::new(path.display());
        wal.read_buffer_size = Some(READ_BUFFER_SIZE);
        wal.chunk_max_size = Some(config.chunk_size_max);
        wal.flush_batch_wait = Some(GROUP_WAIT);
        wal.flush_batch_max_items = Some(GROUP_COUNT_MAX);
        wal.flush_queue_max_bytes = Some(QUEUE_SIZE_MAX);
        let config = raft_log::Config {
            wal,
            log_cache_max_items: None,
            log_cache_capacity: Some(config.cache_size_max),
        };
        let inner = RaftLog::open(Arc::new(config)).map_err(LogError::at(&path))?;
        Ok(Self {
            inner: Mutex::new(inner),
            metrics,
        })
    }

    /// Vote, last, committed and purged position, as written last.
    pub fn state(&self) -> State {
        let log = self.lock();
        let state = log.log_state();
        State {
            vote: state.vote().copied(),
            last: state.last().map(|last| last.0),
            committed: state.committed().map(|committed| committed.0),
            purged: state.purged().map(|purged| purged.0),
        }
    }

    /// Appends entries, which must follow the last one without a gap. They can be read when this
    /// returns, and are on disk when `on_flushed` is called.
    pub fn append(
        &self,
        entries: impl IntoIterator<Item = (LogPosition, Bytes)>,
        on_flushed: OnFlushed,
    ) -> io::Result<()> {
        let mut log = self.lock();
        log.append(
            entries
                .into_iter()
                .map(|(position, bytes)| (Position(position), Payload(bytes))),
        )?;
        log.flush(true, Some(self.callback(on_flushed)))
    }

    /// Saves a vote, which must not be older than the last. It is on disk when `on_flushed` is
    /// called.
    pub fn save_vote(&self, vote: Vote, on_flushed: OnFlushed) -> io::Result<()> {
        let mut log = self.lock();
        log.save_vote(vote)?;
        log.flush(true, Some(self.callback(on_flushed)))
    }

    /// Notes what is committed. Not synced: the next group takes it along, and losing it loses
    /// nothing but the knowledge.
    pub fn save_committed(&self, position: LogPosition) -> io::Result<()> {
        let mut log = self.lock();
        log.commit(Position(position))?;
        log.flush(false, None)
    }

    /// Removes the entries behind `last`, or all of them.
    pub fn truncate_after(&self, last: Option<LogPosition>) -> io::Result<()> {
        let mut log = self.lock();
        let next = last.map_or(0, |last| last.index.0 + 1);
        if next >= Schema::next_log_index(log.log_state().last()) {
            return Ok(());
        }
        log.truncate(next)?;
        log.flush(true, None)
    }

    /// Removes the entries up to and including `upto`, which may lie behind the last one.
    pub fn purge(&self, upto: LogPosition) -> io::Result<()> {
        let mut log = self.lock();
        log.purge(Position(upto))?;
        log.flush(true, None)
    }

    /// Calls `on_flushed` once everything written so far is on disk.
    pub fn sync(&self, on_flushed: OnFlushed) -> io::Result<()> {
        self.lock().flush(true, Some(self.callback(on_flushed)))
    }

    /// Reads the entries in `range` that the log holds, and stops early behind the entry with which
    /// the payloads reach `size_max` bytes.
    pub fn read(
        &self,
        range: Range<u64>,
        size_max: usize,
    ) -> io::Result<Vec<(LogPosition, Bytes)>> {
        let log = self.lock();
        let mut entries = Vec::new();
        let mut size = 0;
        for entry in log.read(range.start, range.end.max(range.start)) {
            let (Position(position), Payload(bytes)) = entry?;
            size += bytes.len();
            entries.push((position, bytes));
            if size >= size_max {
                break;
            }
        }
        Ok(entries)
    }

    /// The bytes ever written, of which purging takes nothing away.
    pub fn written_size(&self) -> u64 {
        let stat = self.lock().stat();
        stat.open_chunk.global_end
    }

    /// The size of the log on disk, in bytes.
    pub fn size(&self) -> u64 {
        self.lock().on_disk_size()
    }

    /// A panic while the lock was held can only have come from the log crate's own checks, which
    /// run before it changes anything.
    fn lock(&self) -> MutexGuard<'_, RaftLog<Schema>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn callback(&self, on_flushed: OnFlushed) -> Callback {
        let started = Instant::now();
        let histogram = self.metrics.flush_duration_seconds.clone();
        Callback(Box::new(move |result| {
            histogram.observe(started.elapsed().as_secs_f64());
            on_flushed(result);
        }))
    }
}

/// The types that the log crate is instantiated with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Schema;

impl Types for Schema {
    type LogId = Position;
    type LogPayload = Payload;
    type Vote = Vote;
    type Callback = Callback;
    type UserData = String;

    fn log_index(position: &Position) -> u64 {
        position.0.index.0
    }

    fn payload_size(payload: &Payload) -> u64 {
        payload.0.len() as u64
    }
}

struct Callback(OnFlushed);

impl raft_log::Callback for Callback {
    fn send(self, result: io::Result<()>) {
        (self.0)(result);
    }
}

/// Why the log cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("the Raft log in {} cannot be opened", path.display())]
pub struct LogError {
    path: PathBuf,
    source: io::Error,
}

impl LogError {
    fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self { path, source }
    }
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
