//! The thread that has the next segment ready, so that going on to it costs the writer nothing.
//!
//! A segment is made from a spare file: one that was purged, or a new one full of written zeros. All
//! that a segment needs to be found after a loss of power is synced before the writer gets it.

use std::{io, path::PathBuf, sync::Arc, thread};

use crate::{error::Failure, flaw::Flaw, segment::Segment, shared::Shared};

/// Makes segments, and takes back those that are purged.
pub(crate) struct Maker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) spares: Vec<PathBuf>,
}

enum Job {
    Retire(Vec<Arc<Segment>>),
    Make(u64),
}

impl Maker {
    /// Works until the writer has written its last, or a disk error.
    pub(crate) fn run(mut self) {
        let _told = FailOnPanic(self.shared.clone());
        while let Some(job) = self.next_job() {
            let done = match job {
                Job::Retire(segments) => self.retire(segments),
                Job::Make(number) => self.make(number),
            };
            if let Err(error) = done {
                let failure = Failure::at(self.shared.dir())(error);
                self.shared.lock().next_failure = Some(failure);
                return self.shared.made.notify_all();
            }
        }
    }

    fn next_job(&self) -> Option<Job> {
        let mut state = self.shared.lock();
        loop {
            if state.next.is_none() && !state.is_closed {
                return Some(Job::Make(state.next_number));
            }
            if !state.retired.is_empty() {
                return Some(Job::Retire(state.retired.drain(..).collect()));
            }
            if state.is_closed {
                return None;
            }
            state = self.shared.wait(&self.shared.making, state);
        }
    }

    fn make(&mut self, number: u64) -> io::Result<()> {
        let (config, dir) = (&self.shared.config, self.shared.dir());
        let spare = self.spares.pop();
        let spare = spare.unwrap_or_else(|| self.shared.spare_path(number));
        let (size, log_id) = (config.segment_size(), self.shared.log_id);
        let is_synced = !config.has(Flaw::NoSyncAtSegmentChange);
        let disk = config.disk.as_ref();
        let segment = Segment::make(disk, dir, &spare, number, size, log_id, is_synced)?;
        if is_synced {
            disk.sync_dir(dir)?;
        }
        let mut state = self.shared.lock();
        state.next = Some(segment);
        state.next_number += 1;
        drop(state);
        self.shared.made.notify_all();
        Ok(())
    }

    /// Front first, so that a loss of power leaves no gap.
    fn retire(&mut self, segments: Vec<Arc<Segment>>) -> io::Result<()> {
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

/// Has the writer not wait for a segment that nobody makes.
struct FailOnPanic(Arc<Shared>);

impl Drop for FailOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            let error = io::Error::other("the maker of segments has panicked");
            self.0.lock().next_failure = Some(Failure::at(self.0.dir())(error));
            self.0.made.notify_all();
        }
    }
}
