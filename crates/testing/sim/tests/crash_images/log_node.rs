//! A log with random steps, as a node would do them.

use std::{
    io,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
};

use bytes::Bytes;
use fastrand::Rng;
use quorate_disk::Disk;
use quorate_log::{InjectedFault, Log, LogConfig, LogMetrics, NODE_SIZE, OnFlushed, SavedVote};
use quorate_metrics::Registry;
use quorate_sim::SimDisk;
use quorate_state::LogPosition;

use crate::{
    gate::Gate,
    history::{Acked, Change, History},
    result_sender::ResultSender,
};

/// The data directory, which exists before the log.
const DATA_DIR: &str = "data";

/// The directory of the log.
pub(crate) const LOG_DIR: &str = "data/log";

/// Segment sizes in bytes. Small, so that segments are switched and purged often. They can differ
/// between two starts.
const SEGMENT_SIZES: [u64; 3] = [16 * 1024, 12 * 1024, 32 * 1024];

/// Small, so that entries are read from the disk too, in bytes.
const CACHE_SIZE_MAX: usize = 8 * 1024;

/// A disk with only the data directory.
pub(crate) fn empty_disk() -> SimDisk {
    let disk = SimDisk::new();
    disk.create_dir(DATA_DIR.as_ref()).unwrap();
    disk.make_durable();
    disk
}

/// Opens the log of a disk. The seed determines the size of new segments.
pub(crate) fn open_log(
    disk: &SimDisk,
    seed: u64,
    injected_fault: Option<InjectedFault>,
) -> Result<Log, String> {
    let config = LogConfig {
        disk: Arc::new(disk.clone()),
        dir: LOG_DIR.into(),
        segment_size: SEGMENT_SIZES[seed as usize % SEGMENT_SIZES.len()],
        cache_size_max: CACHE_SIZE_MAX,
        sync_observer: None,
        injected_fault,
    };
    let metrics = LogMetrics::register(&Registry::new()).expect("a new registry has no names");
    Log::open(config, metrics).map_err(|error| format!("the log does not open: {error:?}"))
}

/// A log, its history, and the state for the next steps.
pub(crate) struct LogNode {
    pub(crate) disk: SimDisk,
    pub(crate) log: Log,
    pub(crate) history: History,
    pub(crate) rng: Rng,
    results: (Sender<io::Result<()>>, Receiver<io::Result<()>>),
    in_flight: usize,
    term: u64,
    /// Whether steps may block syncs. False for a log that fails before it syncs.
    pub(crate) has_gate: bool,
}

impl LogNode {
    pub(crate) fn new(disk: &SimDisk, log: Log, history: History, seed: u64) -> Self {
        let term = history.vote().map_or(0, |vote| vote.term);
        let last_term = history.content().last.map_or(0, |last| last.term.0);
        Self {
            disk: disk.clone(),
            log,
            history,
            rng: Rng::with_seed(seed),
            results: channel(),
            in_flight: 0,
            has_gate: true,
            term: term.max(last_term),
        }
    }

    /// Does a random step and waits until it is acknowledged.
    pub(crate) fn step(&mut self) -> io::Result<()> {
        match self.rng.u32(..16) {
            0..8 => self.append_some()?,
            8..10 => self.append_during_sync()?,
            10..12 => self.vote()?,
            12 => self.truncate()?,
            13 => self.commit()?,
            14 => {
                self.commit()?;
                self.purge()?;
            }
            _ => match self.rng.u32(..4) {
                0 => self.purge_past_the_end()?,
                _ => self.sync()?,
            },
        }
        self.wait()
    }

    /// Waits for all callbacks.
    pub(crate) fn wait(&mut self) -> io::Result<()> {
        let mut result = Ok(());
        while self.in_flight > 0 {
            self.in_flight -= 1;
            let acked = self.results.1.recv().map_err(io::Error::other)?;
            result = result.and(acked);
        }
        result
    }

    fn append_some(&mut self) -> io::Result<()> {
        for _ in 0..self.rng.usize(1..4) {
            let count = self.rng.usize(1..4);
            let entries: Vec<_> = (0..count).map(|_| self.payload()).collect();
            self.append(entries)?;
        }
        Ok(())
    }

    /// Appends entries while a group is synced: they form the next group.
    fn append_during_sync(&mut self) -> io::Result<()> {
        let _gate = self.close_gate();
        let payload = self.payload();
        self.append(vec![payload])?;
        self.wait_at_gate();
        self.append_some()?;
        match self.rng.bool() {
            true => self.vote(),
            false => Ok(()),
        }
    }

    /// Blocks syncs of the log.
    pub(crate) fn close_gate(&self) -> Option<Gate> {
        self.has_gate.then(|| Gate::new(&self.disk))
    }

    /// Waits until a sync is blocked.
    pub(crate) fn wait_at_gate(&self) {
        if self.has_gate {
            self.disk.wait_for_blocked_syncs(1);
        }
    }

    pub(crate) fn append(&mut self, payloads: Vec<Bytes>) -> io::Result<()> {
        let boundary = self.disk.boundaries();
        let mut entries = Vec::new();
        for payload in payloads {
            let next = self
                .history
                .content()
                .last
                .map_or(1, |last| last.index.0 + 1);
            let position = LogPosition::new(self.term, next);
            self.history
                .record_change(boundary, &Change::Entry(position, payload.clone()));
            entries.push((position, payload));
        }
        let requested = self.history.requested();
        let on_flushed = self.on_flushed(Acked {
            votes: 0,
            ..requested
        });
        self.log.append(entries, on_flushed)
    }

    /// A payload within a sector, over several sectors, or over several pages.
    fn payload(&mut self) -> Bytes {
        let size = match self.rng.u32(..8) {
            0..3 => self.rng.usize(..100),
            3..5 => self.rng.usize(..1200),
            5..7 => self.rng.usize(..3000),
            _ => self.rng.usize(..9000),
        };
        // Some payloads are all zeros, like a sector that was not written.
        match self.rng.u32(..8) {
            0 => vec![0; size].into(),
            _ => (0..size).map(|_| self.rng.u8(..)).collect(),
        }
    }

    fn vote(&mut self) -> io::Result<()> {
        let vote = match self.history.vote() {
            Some(vote) if !vote.committed && self.rng.bool() => SavedVote {
                committed: true,
                ..vote
            },
            _ => SavedVote {
                term: self.term + self.rng.u64(1..3),
                committed: false,
                node: [self.rng.u8(..); NODE_SIZE],
            },
        };
        self.term = self.term.max(vote.term);
        self.history.record_vote(self.disk.boundaries(), vote);
        let requested = self.history.requested();
        let on_flushed = self.on_flushed(Acked {
            changes: 0,
            ..requested
        });
        self.log.save_vote(vote, on_flushed)
    }

    /// Truncates the log and appends a new entry, as under a new leader.
    fn truncate(&mut self) -> io::Result<()> {
        let content = self.history.content();
        let first = self.history.committed().max(content.purged);
        let kept: Vec<_> = content
            .entries
            .values()
            .map(|(position, _)| *position)
            .collect();
        let kept: Vec<_> = kept
            .into_iter()
            .filter(|position| Some(*position) > first)
            .collect();
        let keep = match self.rng.usize(..=kept.len()) {
            0 => first,
            nth => Some(kept[nth - 1]),
        };
        self.history
            .record_change(self.disk.boundaries(), &Change::Truncate(keep));
        self.log.truncate_after(keep)?;
        self.term += 1;
        let payload = self.payload();
        self.append(vec![payload])
    }

    fn commit(&mut self) -> io::Result<()> {
        let content = self.history.content();
        let positions: Vec<_> = content
            .entries
            .values()
            .map(|(position, _)| *position)
            .collect();
        let newer = |position: &&LogPosition| Some(**position) > self.history.committed();
        let newer: Vec<_> = positions.iter().filter(newer).collect();
        if newer.is_empty() {
            return Ok(());
        }
        let committed = *newer[self.rng.usize(..newer.len())];
        self.history
            .record_committed(self.disk.boundaries(), committed);
        self.log.save_committed(committed)
    }

    fn purge(&mut self) -> io::Result<()> {
        let content = self.history.content();
        let committed = self.history.committed();
        let positions = content.entries.values().map(|(position, _)| *position);
        let positions: Vec<_> = positions
            .filter(|position| Some(*position) <= committed)
            .collect();
        match positions.is_empty() {
            true => Ok(()),
            false => {
                let nth = self.rng.usize(..positions.len());
                self.purge_upto(positions[nth])
            }
        }
    }

    pub(crate) fn purge_upto(&mut self, upto: LogPosition) -> io::Result<()> {
        self.history
            .record_change(self.disk.boundaries(), &Change::Purge(upto));
        self.log.purge(upto)
    }

    /// Purges past the last entry, as after a snapshot from a leader that is far ahead.
    fn purge_past_the_end(&mut self) -> io::Result<()> {
        let last = self.history.content().last.map_or(0, |last| last.index.0);
        let upto = LogPosition::new(self.term, last + self.rng.u64(1..100));
        self.history.record_committed(self.disk.boundaries(), upto);
        self.purge_upto(upto)
    }

    pub(crate) fn sync(&mut self) -> io::Result<()> {
        let requested = self.history.requested();
        let on_flushed = self.on_flushed(Acked {
            votes: 0,
            ..requested
        });
        self.log.sync(on_flushed)
    }

    fn on_flushed(&mut self, acked: Acked) -> OnFlushed {
        self.in_flight += 1;
        let (disk, acks) = (self.disk.clone(), self.history.acks());
        let sender = ResultSender::new(self.results.0.clone());
        Box::new(move |result| {
            // A process that was killed between a sync and its callback acknowledges nothing.
            if result.is_ok()
                && let Some(boundary) = disk.boundaries_if_alive()
            {
                acks.lock().unwrap().push((boundary, acked));
            }
            sender.send(result);
        })
    }
}

#[test]
fn a_callback_after_the_kill_acknowledges_nothing() {
    let disk = empty_disk();
    let log = open_log(&disk, 0, None).unwrap();
    let mut node = LogNode::new(&disk, log, History::empty(), 0);
    let on_flushed = node.on_flushed(Acked {
        changes: 1,
        votes: 0,
    });
    drop(disk.kill());
    on_flushed(Ok(()));
    assert_eq!(node.history.acked(usize::MAX), Acked::default());
}
