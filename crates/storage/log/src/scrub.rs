//! Reading the files of the log in the background, to find damage.

use std::sync::Arc;

use crate::{
    LogDamage,
    group::{BadGroup, Group, GroupId},
    segment::{SEGMENT_HEADER_SIZE, SegmentUsage},
    shared::Shared,
};

/// Reads the synced groups one by one, from the first, and verifies them. Nothing is locked while
/// it reads, so the caller decides how fast it runs.
pub struct Scrub {
    shared: Arc<Shared>,
    /// The segment being read; 0 before the first.
    segment: u64,
    offset: u64,
    /// The last group read. `None` at the start and after a skip.
    last_group: Option<GroupId>,
    buffer: Vec<u8>,
}

impl Scrub {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            segment: 0,
            offset: 0,
            last_group: None,
            buffer: Vec::new(),
        }
    }

    /// Reads the next group and returns its size in bytes, or `None` when all are read. Skips
    /// segments that are purged meanwhile.
    ///
    /// Fails when a group is damaged. The log continues to work, but could not be opened again.
    pub fn next_piece(&mut self) -> Result<Option<usize>, LogDamage> {
        while let Some(usage) = self.advance() {
            let segment = &usage.segment;
            let group = segment.read_group(self.shared.log_id, self.offset, &mut self.buffer);
            let what = match group.map(|group| group.and_then(|group| self.check(group))) {
                Ok(Ok(size)) => return Ok(Some(size)),
                Ok(Err(bad)) => bad.to_string(),
                Err(error) => error.to_string(),
            };
            if self.shared.lock().segment(self.segment).is_some() {
                self.shared.metrics.damaged_total.inc();
                return Err(segment.damage(self.offset, what));
            }
        }
        Ok(None)
    }

    /// Moves to the next group and returns its segment.
    fn advance(&mut self) -> Option<SegmentUsage> {
        let state = self.shared.lock();
        loop {
            match state.segment(self.segment) {
                Some(usage) if self.offset < usage.end => return Some(usage.clone()),
                Some(_) => {
                    state.segment(self.segment + 1)?;
                    self.segment += 1;
                }
                None => {
                    self.segment = state.segments.front()?.segment.number;
                    self.last_group = None;
                }
            }
            self.offset = SEGMENT_HEADER_SIZE;
        }
    }

    fn check(&mut self, group: Group) -> Result<usize, BadGroup> {
        if let Some(last) = self.last_group {
            group.check_follows(last)?;
        }
        let size = group.header.size();
        self.offset += size as u64;
        self.last_group = Some(group.header.id);
        Ok(size)
    }
}
