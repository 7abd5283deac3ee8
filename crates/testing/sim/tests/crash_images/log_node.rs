//! A log at work.

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
    answer::Answer,
    gate::Gate,
    history::{Acked, Change, History},
};

/// The data directory, which is there before a log is.
const DATA_DIR: &str = "data";

/// The directory of the log.
pub(crate) const LOG_DIR: &str = "data/log";

/// Small, so that segments change and go often, in bytes. A start may have another than the last.
const SEGMENT_SIZES: [u64; 3] = [16 * 1024, 12 * 1024, 32 * 1024];

/// Small, so that entries are read from the disk too, in bytes.
const CACHE_SIZE_MAX: usize = 8 * 1024;

/// A disk on which nothing but the data directory is.
pub(crate) fn empty_disk() -> SimDisk {
    let disk = SimDisk::new();
    disk.create_dir(DATA_DIR.as_ref()).unwrap();
    disk.settle();
    disk
}

/// Opens the log of a disk. The seed says how large new segments are.
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

/// A log, what it was told, and what comes next.
pub(crate) struct LogNode {
    pub(crate) disk: SimDisk,
    pub(crate) log: Log,
    pub(crate) history: History,
    pub(crate) rng: Rng,
    results: (Sender<io::Result<()>>, Receiver<io::Result<()>>),
    in_flight: usize,
    term: u64,
    /// Nobody comes to the gate of a log that fails before.
    pub(crate) has_gate: bool,
}

impl LogNode {
    pub(crate) fn new(disk: &SimDisk, log: Log, history: History, seed: u64) -> Self {
        let term = history.vote().map_or(0, |vote| vote.term);
        let last_term = history.holding().last.map_or(0, |last| last.term.0);
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

    /// Does something and waits until it is acknowledged.
    pub(crate) fn step(&mut self) -> io::Result<()> {
        match self.rng.u32(..16) {
            0..8 => self.append_some()?,
            8..10 => self.append_beside_a_sync()?,
            10..12 => self.vote()?,
            12 => self.truncate()?,
            13 => self.commit()?,
            14 => {
                self.commit()?;
                self.purge()?;
            }
            _ => match self.rng.u32(..4) {
                0 => self.purge_behind_the_end()?,
                _ => self.sync()?,
            },
        }
        self.wait()
    }

    /// Waits for all that is in flight.
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

    /// What comes while a group is synced makes the next one.
    fn append_beside_a_sync(&mut self) -> io::Result<()> {
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

    /// Lets syncs of the log wait.
    pub(crate) fn close_gate(&self) -> Option<Gate> {
        self.has_gate.then(|| Gate::new(&self.disk))
    }

    /// Waits until a sync does.
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
                .holding()
                .last
                .map_or(1, |last| last.index.0 + 1);
            let position = LogPosition::new(self.term, next);
            self.history
                .note_change(boundary, &Change::Entry(position, payload.clone()));
            entries.push((position, payload));
        }
        let told = self.history.told();
        let on_flushed = self.on_flushed(Acked { votes: 0, ..told });
        self.log.append(entries, on_flushed)
    }

    /// Of any size: within a sector, over sectors, over pages.
    fn payload(&mut self) -> Bytes {
        let size = match self.rng.u32(..8) {
            0..3 => self.rng.usize(..100),
            3..5 => self.rng.usize(..1200),
            5..7 => self.rng.usize(..3000),
            _ => self.rng.usize(..9000),
        };
        // Some of nothing but zeros: as a sector that is not there looks.
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
        self.history.note_vote(self.disk.boundaries(), vote);
        let told = self.history.told();
        let on_flushed = self.on_flushed(Acked { changes: 0, ..told });
        self.log.save_vote(vote, on_flushed)
    }

    /// As a new leader has it done, which then sends entries of its own.
    fn truncate(&mut self) -> io::Result<()> {
        let holding = self.history.holding();
        let floor = self.history.committed().max(holding.purged);
        let kept: Vec<_> = holding
            .entries
            .values()
            .map(|(position, _)| *position)
            .collect();
        let kept: Vec<_> = kept
            .into_iter()
            .filter(|position| Some(*position) > floor)
            .collect();
        let keep = match self.rng.usize(..=kept.len()) {
            0 => floor,
            nth => Some(kept[nth - 1]),
        };
        self.history
            .note_change(self.disk.boundaries(), &Change::Truncate(keep));
        self.log.truncate_after(keep)?;
        self.term += 1;
        let payload = self.payload();
        self.append(vec![payload])
    }

    fn commit(&mut self) -> io::Result<()> {
        let holding = self.history.holding();
        let held: Vec<_> = holding
            .entries
            .values()
            .map(|(position, _)| *position)
            .collect();
        let newer = |position: &&LogPosition| Some(**position) > self.history.committed();
        let newer: Vec<_> = held.iter().filter(newer).collect();
        if newer.is_empty() {
            return Ok(());
        }
        let committed = *newer[self.rng.usize(..newer.len())];
        self.history
            .note_committed(self.disk.boundaries(), committed);
        self.log.save_committed(committed)
    }

    fn purge(&mut self) -> io::Result<()> {
        let holding = self.history.holding();
        let committed = self.history.committed();
        let held = holding.entries.values().map(|(position, _)| *position);
        let held: Vec<_> = held
            .filter(|position| Some(*position) <= committed)
            .collect();
        match held.is_empty() {
            true => Ok(()),
            false => {
                let nth = self.rng.usize(..held.len());
                self.purge_upto(held[nth])
            }
        }
    }

    pub(crate) fn purge_upto(&mut self, upto: LogPosition) -> io::Result<()> {
        self.history
            .note_change(self.disk.boundaries(), &Change::Purge(upto));
        self.log.purge(upto)
    }

    /// As after a snapshot from a leader that is far ahead.
    fn purge_behind_the_end(&mut self) -> io::Result<()> {
        let last = self.history.holding().last.map_or(0, |last| last.index.0);
        let upto = LogPosition::new(self.term, last + self.rng.u64(1..100));
        self.history.note_committed(self.disk.boundaries(), upto);
        self.purge_upto(upto)
    }

    pub(crate) fn sync(&mut self) -> io::Result<()> {
        let told = self.history.told();
        let on_flushed = self.on_flushed(Acked { votes: 0, ..told });
        self.log.sync(on_flushed)
    }

    fn on_flushed(&mut self, acked: Acked) -> OnFlushed {
        self.in_flight += 1;
        let (disk, acks) = (self.disk.clone(), self.history.acks());
        let answer = Answer::new(self.results.0.clone());
        Box::new(move |result| {
            if result.is_ok() {
                acks.lock().unwrap().push((disk.boundaries(), acked));
            }
            answer.send(result);
        })
    }
}
