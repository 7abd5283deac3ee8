//! After a power loss at any time the log has a former content, with everything acknowledged.

use std::sync::{Arc, Mutex, mpsc};

use bytes::Bytes;
use quorate_sim::{Call, PowerLoss, SimDisk};
use quorate_state::LogPosition;

use crate::{
    InjectedFault, Log, LogConfig, State,
    fixture::{append, at, config, content, metrics, open, save_vote, vote},
};

/// How many logs are tested, and how many steps each takes. Many short ones cost less than a long
/// one, because every boundary is replayed from the start.
const SEEDS: u64 = 8;
const STEPS: usize = 40;

/// How many power losses are simulated at each boundary.
const LOSSES: usize = 2;

/// Everything that a caller can read from a log.
type Content = (State, Vec<(LogPosition, Bytes)>);

/// The contents that a log had, one after each change, and which of them a power loss may leave.
struct History {
    contents: Vec<Content>,
    /// The boundary at which the change to each content was requested.
    requested: Vec<usize>,
    /// The boundary at which a content was acknowledged, and its position in `contents`.
    acknowledged: Arc<Mutex<Vec<(usize, usize)>>>,
}

impl History {
    fn new() -> Self {
        Self {
            contents: vec![Content::default()],
            requested: vec![0],
            acknowledged: Arc::default(),
        }
    }

    /// Fails when a power loss at boundary `at` must not leave `found`.
    fn check(&self, at: usize, found: &Content) -> Result<(), String> {
        let acknowledged = self.acknowledged.lock().unwrap();
        let first = acknowledged.iter().filter(|(when, _)| *when <= at);
        let first = first.map(|(_, content)| *content).max().unwrap_or(0);
        let requested = self.requested.iter().rposition(|when| *when <= at);
        let allowed = first..=requested.unwrap_or(0);
        let mut contents = allowed.clone().map(|content| &self.contents[content]);
        match contents.any(|content| content == found) {
            true => Ok(()),
            false => Err(format!("{found:?} is not one of the contents {allowed:?}")),
        }
    }
}

/// A log with random changes, and its history.
struct Workload {
    disk: SimDisk,
    log: Option<Log>,
    config: LogConfig,
    history: History,
    random: fastrand::Rng,
    waits: Vec<mpsc::Receiver<()>>,
}

impl Workload {
    fn new(seed: u64, injected_fault: Option<InjectedFault>) -> Self {
        let disk = SimDisk::new();
        let config = LogConfig {
            segment_size: 8 * 1024,
            injected_fault,
            ..config(&disk)
        };
        Self {
            disk,
            log: None,
            config,
            history: History::new(),
            random: fastrand::Rng::with_seed(seed),
            waits: Vec::new(),
        }
    }

    fn run(&mut self, steps: usize) {
        for _ in 0..steps {
            if self.log.is_none() {
                self.log = Some(Log::open(self.config.clone(), metrics()).unwrap());
            }
            self.step();
            if self.random.u8(0..4) == 0 {
                self.waits.drain(..).for_each(|wait| wait.recv().unwrap());
            }
        }
        self.log = None;
    }

    fn step(&mut self) {
        let (state, _) = self.history.contents.last().unwrap().clone();
        let last = state.last.unwrap_or(at(1, 0));
        let next = state.last.map_or(0, |last| last.index.0 + 1);
        match self.random.u8(0..16) {
            0..9 => (0..self.random.u64(1..5)).for_each(|nth| self.append(last.term.0, next + nth)),
            9 => self.append(last.term.0 + 1, next),
            10 => {
                let vote = vote(state.vote.map_or(1, |vote| vote.term + 1));
                self.record(|content| content.0.vote = Some(vote));
                let on_flushed = self.acknowledge();
                self.log().save_vote(vote, on_flushed).unwrap();
            }
            11 if state.last.is_some() => {
                let first = state.committed.max(state.purged);
                let entries = &self.history.contents.last().unwrap().1;
                let kept = entries.iter().map(|(at, _)| *at);
                let kept: Vec<_> = kept.filter(|at| Some(*at) >= first).collect();
                if let Some(keep) = self.random.choice(kept) {
                    self.record(|(state, entries)| {
                        entries.retain(|(at, _)| *at <= keep);
                        state.last = Some(keep);
                    });
                    self.log().truncate_after(Some(keep)).unwrap();
                }
            }
            12 if state.last.is_some() => {
                let kept_count = self.random.u64(0..6);
                let index = last.index.0.saturating_sub(kept_count);
                let entries = &self.history.contents.last().unwrap().1;
                let upto = entries.iter().find(|(at, _)| at.index.0 == index);
                if let Some(upto) = upto.map(|(at, _)| *at) {
                    self.record(|(state, entries)| {
                        entries.retain(|(at, _)| *at > upto);
                        state.purged = Some(upto);
                    });
                    self.log().purge(upto).unwrap();
                }
            }
            13 if state.last.is_some() => {
                self.record(|(state, _)| state.committed = Some(last));
                self.log().save_committed(last).unwrap();
            }
            14 => {
                let on_flushed = self.acknowledge();
                self.log().sync(on_flushed).unwrap();
            }
            15 => self.log = None,
            _ => {}
        }
    }

    fn append(&mut self, term: u64, index: u64) {
        let size = self.random.usize(0..700);
        let entry = (at(term, index), vec![self.random.u8(..); size].into());
        self.record(|(state, entries)| {
            entries.push(entry.clone());
            state.last = Some(entry.0);
        });
        let on_flushed = self.acknowledge();
        self.log().append([entry], on_flushed).unwrap();
    }

    /// Records the next content of the log. Must be called before the change is requested.
    fn record(&mut self, change: impl FnOnce(&mut Content)) {
        let mut content = self.history.contents.last().unwrap().clone();
        change(&mut content);
        self.history.contents.push(content);
        self.history.requested.push(self.disk.boundaries());
    }

    /// A callback that records that the current content is acknowledged.
    fn acknowledge(&mut self) -> crate::OnFlushed {
        let (tx, rx) = mpsc::channel();
        self.waits.push(rx);
        let (disk, acknowledged) = (self.disk.clone(), self.history.acknowledged.clone());
        let content = self.history.contents.len() - 1;
        Box::new(move |result| {
            result.unwrap();
            acknowledged
                .lock()
                .unwrap()
                .push((disk.boundaries(), content));
            // Fails when the receiver was dropped: not every callback is waited for.
            let _ = tx.send(());
        })
    }

    fn log(&self) -> &Log {
        self.log.as_ref().unwrap()
    }

    /// Opens the log that a power loss leaves.
    fn reopened(&self, image: &SimDisk) -> Result<Log, String> {
        let config = LogConfig {
            disk: Arc::new(image.clone()),
            injected_fault: None,
            ..self.config.clone()
        };
        Log::open(config, metrics()).map_err(|error| error.to_string())
    }

    /// Checks every boundary with several power losses, each with a second one during recovery.
    fn check(&mut self, losses: usize) -> Result<(), String> {
        for boundary in 0..=self.disk.boundaries() {
            for _ in 0..losses {
                let loss = self.loss();
                let image = self.disk.image(boundary, loss);
                self.check_image(boundary, &image)
                    .map_err(|text| format!("boundary {boundary}, {loss:?}: {text}"))?;
            }
        }
        Ok(())
    }

    fn loss(&mut self) -> PowerLoss {
        let kinds = PowerLoss::all_kinds(self.random.u64(..));
        kinds[self.random.usize(0..kinds.len())]
    }

    fn check_image(&mut self, boundary: usize, image: &SimDisk) -> Result<(), String> {
        let log = self.reopened(image)?;
        let found = content(&log);
        self.history.check(boundary, &found)?;
        let opened = image.boundaries();
        let next = found.0.last.map_or(0, |last| last.index.0 + 1);
        append(&log, [(at(1000, next), Bytes::from_static(b"after"))]);
        save_vote(&log, vote(1000));
        let after = content(&log);
        drop(log);
        if content(&self.reopened(image)?) != after {
            return Err("entries written after opening are missing".to_owned());
        }
        let second = self.random.usize(0..=opened);
        let loss = self.loss();
        let log = self.reopened(&image.image(second, loss))?;
        match content(&log) == found {
            true => Ok(()),
            false => Err(format!(
                "the content differs after a second loss at boundary {second}, {loss:?}"
            )),
        }
    }
}

#[test]
fn a_power_loss_at_any_time_leaves_everything_acknowledged() {
    for seed in 0..SEEDS {
        let mut workload = Workload::new(seed, None);
        workload.run(STEPS);
        let checked = workload.check(LOSSES);
        checked.unwrap_or_else(|text| panic!("seed {seed}: {text}"));
    }
}

#[test]
fn a_callback_before_the_sync_would_be_detected() {
    expect_detected(InjectedFault::AckBeforeSync);
}

#[test]
fn a_new_segment_that_is_not_synced_would_be_detected() {
    expect_detected(InjectedFault::NoSyncAtSegmentChange);
}

#[test]
fn a_vote_that_is_not_synced_would_be_detected() {
    expect_detected(InjectedFault::VoteNotSynced);
}

fn expect_detected(injected_fault: InjectedFault) {
    let detected = (0..SEEDS).any(|seed| {
        let mut workload = Workload::new(seed, Some(injected_fault));
        workload.run(STEPS);
        workload.check(LOSSES).is_err()
    });
    assert!(detected, "{injected_fault:?} is not detected");
}

#[test]
fn a_power_loss_while_a_log_is_created_leaves_one_that_opens() {
    let disk = SimDisk::new();
    drop(open(&disk).unwrap());
    for boundary in 0..=disk.boundaries() {
        for (loss, image) in disk.images(boundary, 6, 1) {
            let log = open(&image);
            let log = log.unwrap_or_else(|error| panic!("{boundary}, {loss:?}: {error}"));
            assert_eq!(log.state(), State::default());
        }
    }
}

#[test]
fn an_error_while_opening_is_returned_and_the_next_start_succeeds() {
    for call in [
        Call::Read,
        Call::Write,
        Call::Sync,
        Call::SyncDir,
        Call::ChangeName,
    ] {
        let disk = SimDisk::new();
        let mut failures = 0;
        for nth in 1.. {
            disk.clear_faults();
            disk.fail(call, "", nth);
            match open(&disk) {
                Ok(log) => {
                    disk.clear_faults();
                    assert_eq!(log.state(), State::default());
                    break;
                }
                Err(error) => assert!(
                    matches!(error, crate::LogError::Io { .. }),
                    "{call:?} {nth}: {error}"
                ),
            }
            failures += 1;
        }
        assert!(failures > 0, "{call:?}");
        disk.clear_faults();
        drop(open(&disk).unwrap());
    }
}
