//! Reading again what is on disk.

use std::sync::Arc;

use crate::{
    LogDamage,
    group::{BadGroup, Group, Link},
    segment::{SEGMENT_HEADER_SIZE, Used},
    shared::Shared,
};

/// Reads what is synced again, group by group from the front, and verifies it. Nothing is locked
/// while it reads: a caller paces it as it likes.
pub struct Scrub {
    shared: Arc<Shared>,
    /// The segment being read; 0 before the first.
    segment: u64,
    offset: u64,
    /// The last group, if it was read.
    link: Option<Link>,
    buffer: Vec<u8>,
}

impl Scrub {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            segment: 0,
            offset: 0,
            link: None,
            buffer: Vec::new(),
        }
    }

    /// Reads the next group and says how many bytes it has, or nothing when all is read. Segments
    /// that are purged meanwhile are passed over.
    ///
    /// Fails when a group is damaged; the log goes on, but the node would not start again.
    pub fn next_piece(&mut self) -> Result<Option<usize>, LogDamage> {
        while let Some(used) = self.place() {
            let segment = &used.segment;
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

    /// The segment with the next group, and moves there.
    fn place(&mut self) -> Option<Used> {
        let state = self.shared.lock();
        loop {
            match state.segment(self.segment) {
                Some(used) if self.offset < used.end => return Some(used.clone()),
                Some(_) => {
                    state.segment(self.segment + 1)?;
                    self.segment += 1;
                }
                None => (self.segment, self.link) = (state.segments.front()?.segment.number, None),
            }
            self.offset = SEGMENT_HEADER_SIZE;
        }
    }

    fn check(&mut self, group: Group) -> Result<usize, BadGroup> {
        if let Some(link) = self.link {
            group.check_follows(link)?;
        }
        let size = group.header.size();
        self.offset += size as u64;
        self.link = Some(group.header.link);
        Ok(size)
    }
}
