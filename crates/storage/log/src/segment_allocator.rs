//! The thread that allocates the next segment in advance, so that the writer does not wait for it.
//!
//! A segment is created from a spare file: a purged segment, or a new file filled with zeros. Its
//! header and its name are synced before the writer gets it, so that it is found after a power
//! loss.
//!
//! While the disk is full and there is no spare, no segment is created and the thread checks
//! periodically for space. Until then the writer uses the rest of the allocated segments.

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

/// How often a full disk is checked for space.
const SPACE_CHECK_INTERVAL: Duration = Duration::from_millis(200);

/// Creates segments, and turns purged ones into spares.
pub(crate) struct SegmentAllocator {
    pub(crate) shared: Arc<Shared>,
    /// Spare segment files.
    pub(crate) spares: Vec<PathBuf>,
    /// When to check for space again.
    pub(crate) retry_at: Option<Instant>,
}

enum Job {
    /// Turn purged segments into spares, or remove them.
    Retire(Vec<Arc<Segment>>),
    /// Create the segment of this number.
    Allocate(u64),
}

impl SegmentAllocator {
    /// Runs until the writer has ended, or a disk error.
    pub(crate) fn run(mut self) {
        let _fail_on_panic = FailOnPanic {
            shared: self.shared.clone(),
            text: "the thread that allocates segments has panicked",
            fail: Shared::stop_allocating,
        };
        while let Some(job) = self.next_job() {
            let done = match job {
                Job::Retire(segments) => self.retire(segments),
                Job::Allocate(number) => self.allocate_if_space(number),
            };
            if let Err(error) = done {
                return (self.shared).stop_allocating(Failure::at(self.shared.dir())(error));
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
            // To reuse a purged segment costs a rename; a new file must be written completely.
            let must_retire_first = self.spares.is_empty() && !state.retired.is_empty();
            if is_missing && pause.is_zero() && !must_retire_first {
                return Some(Job::Allocate(state.next_number));
            }
            if !state.retired.is_empty() {
                return Some(Job::Retire(state.retired.drain(..).collect()));
            }
            if state.is_closed {
                return None;
            }
            state = match is_missing {
                true => self
                    .shared
                    .wait_timeout(&self.shared.allocator_work, state, pause),
                false => self.shared.wait(&self.shared.allocator_work, state),
            };
        }
    }

    /// Creates the next segment, or sets `is_full` when the disk has no space.
    fn allocate_if_space(&mut self, number: u64) -> io::Result<()> {
        let spare = self.spares.pop().map_or_else(|| self.new_spare(number), Ok);
        match spare {
            Err(error) if is_out_of_space(&error) => {
                self.retry_at = Some(Instant::now() + SPACE_CHECK_INTERVAL);
                self.shared.lock().is_full = true;
                self.shared.segment_ready.notify_all();
                Ok(())
            }
            spare => {
                self.retry_at = None;
                self.allocate(number, spare?)
            }
        }
    }

    fn new_spare(&self, number: u64) -> io::Result<PathBuf> {
        let (config, dir) = (&self.shared.config, self.shared.dir());
        let (disk, size) = (config.disk.as_ref(), config.segment_size());
        // If the free space is unknown, the writes will show whether it is enough.
        if disk.free_space(dir).is_ok_and(|free| free < size) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let spare = self.shared.spare_path(number);
        let file = disk.open(&spare, OpenMode::Create);
        match file.and_then(|file| file.allocate(size)) {
            Err(error) if is_out_of_space(&error) => {
                // Removes the incomplete file. If that fails, the next start removes it: its size
                // is not that of a spare.
                let _ = disk.remove(&spare);
                Err(error)
            }
            done => done.map(|()| spare),
        }
    }

    fn allocate(&mut self, number: u64, spare: PathBuf) -> io::Result<()> {
        let (config, dir) = (&self.shared.config, self.shared.dir());
        let (size, log_id) = (config.segment_size(), self.shared.log_id);
        let is_synced = !config.has(InjectedFault::NoSyncAtSegmentChange);
        let disk = config.disk.as_ref();
        let segment = Segment::create(disk, dir, &spare, number, size, log_id, is_synced)?;
        if is_synced {
            disk.sync_dir(dir)?;
        }
        let mut state = self.shared.lock();
        state.next = Some(segment);
        state.next_number += 1;
        state.is_full = false;
        drop(state);
        self.shared.segment_ready.notify_all();
        Ok(())
    }

    /// Turns segments into spares, or removes them. The first one first, so that a power loss
    /// leaves no gap.
    fn retire(&mut self, segments: Vec<Arc<Segment>>) -> io::Result<()> {
        // They free space, or become spares.
        self.retry_at = None;
        let disk = self.shared.config.disk.as_ref();
        // The groups in these segments prove that later ones were synced. Before they are removed,
        // the synced position must prove it.
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
        // Before a spare gets another header: a segment with the old name would be damaged.
        disk.sync_dir(self.shared.dir())
    }
}
