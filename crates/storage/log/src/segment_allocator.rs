//! The thread that has the next segment ready, so that going on to it costs the writer nothing.
//!
//! A segment is made from a spare file: one that was purged, or a new one full of written zeros. All
//! that a segment needs to be found after a loss of power is synced before the writer gets it.
//!
//! While the disk is full and no spare is there, none is made, and space is looked for again and
//! again. Until then the writer has what is left of its segment, and of one that stands ready.

use std::{
    io,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use quorate_disk::{OpenMode, is_out_of_space};

use crate::{
    error::Failure,
    injected_fault::InjectedFault,
    segment::Segment,
    shared::{FailOnPanic, Shared},
};

/// How often space is looked for on a full disk.
const SPACE_LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// Makes segments, and takes back those that are purged.
pub(crate) struct SegmentAllocator {
    pub(crate) shared: Arc<Shared>,
    pub(crate) spares: Vec<PathBuf>,
    /// When to look for space again.
    pub(crate) retry_at: Option<Instant>,
}

enum Job {
    Retire(Vec<Arc<Segment>>),
    Make(u64),
}

impl SegmentAllocator {
    /// Works until the writer has written its last, or a disk error.
    pub(crate) fn run(mut self) {
        let _told = FailOnPanic {
            shared: self.shared.clone(),
            text: "the maker of segments has panicked",
            fail: Shared::make_no_more,
        };
        while let Some(job) = self.next_job() {
            let done = match job {
                Job::Retire(segments) => self.retire(segments),
                Job::Make(number) => self.make_if_there_is_space(number),
            };
            if let Err(error) = done {
                return (self.shared).make_no_more(Failure::at(self.shared.dir())(error));
            }
        }
    }

    fn next_job(&self) -> Option<Job> {
        let mut state = self.shared.lock();
        loop {
            let is_missing = state.next.is_none() && !state.is_closed;
            let pause = self.retry_at.map_or(Duration::ZERO, |at| {
                at.saturating_duration_since(Instant::now())
            });
            // What was purged is a spare at the price of a rename, a new one is written whole.
            let is_spare_waiting = self.spares.is_empty() && !state.retired.is_empty();
            if is_missing && pause.is_zero() && !is_spare_waiting {
                return Some(Job::Make(state.next_number));
            }
            if !state.retired.is_empty() {
                return Some(Job::Retire(state.retired.drain(..).collect()));
            }
            if state.is_closed {
                return None;
            }
            state = match is_missing {
                true => self.shared.wait_for(&self.shared.making, state, pause),
                false => self.shared.wait(&self.shared.making, state),
            };
        }
    }

    /// Makes the next segment, or says that the disk is full.
    fn make_if_there_is_space(&mut self, number: u64) -> io::Result<()> {
        let spare = self.spares.pop().map_or_else(|| self.new_spare(number), Ok);
        match spare {
            Err(error) if is_out_of_space(&error) => {
                self.retry_at = Some(Instant::now() + SPACE_LOOK_INTERVAL);
                self.shared.lock().is_full = true;
                self.shared.made.notify_all();
                Ok(())
            }
            spare => {
                self.retry_at = None;
                self.make(number, spare?)
            }
        }
    }

    fn new_spare(&self, number: u64) -> io::Result<PathBuf> {
        let (config, dir) = (&self.shared.config, self.shared.dir());
        let (disk, size) = (config.disk.as_ref(), config.segment_size());
        // What cannot be told is told by the writes.
        if disk.free_space(dir).is_ok_and(|free| free < size) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let spare = self.shared.spare_path(number);
        let file = disk.open(&spare, OpenMode::Create);
        match file.and_then(|file| file.allocate(size)) {
            Err(error) if is_out_of_space(&error) => {
                // The part of it that was made. One that stays has not the size of a spare.
                let _ = disk.remove(&spare);
                Err(error)
            }
            done => done.map(|()| spare),
        }
    }

    fn make(&mut self, number: u64, spare: PathBuf) -> io::Result<()> {
        let (config, dir) = (&self.shared.config, self.shared.dir());
        let (size, log_id) = (config.segment_size(), self.shared.log_id);
        let is_synced = !config.has(InjectedFault::NoSyncAtSegmentChange);
        let disk = config.disk.as_ref();
        let segment = Segment::make(disk, dir, &spare, number, size, log_id, is_synced)?;
        if is_synced {
            disk.sync_dir(dir)?;
        }
        let mut state = self.shared.lock();
        state.next = Some(segment);
        state.next_number += 1;
        state.is_full = false;
        drop(state);
        self.shared.made.notify_all();
        Ok(())
    }

    /// Front first, so that a loss of power leaves no gap.
    fn retire(&mut self, segments: Vec<Arc<Segment>>) -> io::Result<()> {
        // They give back space, or are spares.
        self.retry_at = None;
        let disk = self.shared.config.disk.as_ref();
        // With the groups in them would go what proves that the ones after them were synced.
        self.shared.synced_file.sync_data()?;
        for segment in segments {
            let fits = segment.size == self.shared.config.segment_size();
            if fits && self.spares.len() < self.shared.config.spare_count_max() {
                let spare = self.shared.spare_path(segment.number);
                disk.rename(&segment.path, &spare)?;
                self.spares.push(spare);
            } else {
                disk.remove(&segment.path)?;
            }
        }
        // Before a spare gets another header: under its old name it would be damage.
        disk.sync_dir(self.shared.dir())
    }
}
