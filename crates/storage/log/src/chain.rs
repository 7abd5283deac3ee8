//! Reading the groups of a log in order, from the first segment.

use std::{collections::VecDeque, ops::Range, sync::Arc};

use quorate_state::{LogIndex, LogPosition};

use crate::{
    LogError,
    block::BlockResult,
    bounds::{Item, LogBounds},
    group::{BadGroup, GROUP_ALIGNMENT, Group, GroupHeader, GroupId},
    index::{DiskLocation, Index, Location},
    segment::{SEGMENT_HEADER_SIZE, Segment, SegmentUsage},
    synced_position::SyncedPosition,
};

/// Where the next group was expected, and why it is not there.
pub(crate) struct MissingGroup {
    /// The position of the segment in [`Chain::segments`].
    pub(crate) segment: usize,
    pub(crate) offset: u64,
    pub(crate) reason: BadGroup,
}

/// The groups read so far. Each group names the one before it, so they form a chain.
pub(crate) struct Chain {
    pub(crate) log_id: u64,
    pub(crate) segments: Vec<SegmentUsage>,
    headers: Vec<BlockResult>,
    /// The position up to which everything was durable. The log may be durable further.
    pub(crate) synced: SyncedPosition,
    /// The last group read.
    pub(crate) last_group: GroupId,
    /// Groups that may not be durable: the position of their segment in `segments`, and the bytes.
    pub(crate) unsynced: Vec<(usize, Range<u64>)>,
    index: Index,
    current: usize,
    /// Whether groups were passed over, so that the bounds before the first entry are not known.
    has_resumed: bool,
    buffer: Vec<u8>,
}

impl Chain {
    pub(crate) fn new(
        log_id: u64,
        segments: Vec<(Arc<Segment>, BlockResult)>,
        synced: SyncedPosition,
        index: Index,
    ) -> Self {
        let (segments, headers) = segments
            .into_iter()
            .map(|(segment, header)| (SegmentUsage::new(segment), header))
            .unzip();
        Self {
            log_id,
            segments,
            headers,
            synced,
            last_group: GroupId::default(),
            unsynced: Vec::new(),
            index,
            current: 0,
            has_resumed: false,
            buffer: Vec::new(),
        }
    }

    /// Reads all groups, and returns where and why there is no further one. Fails on damage that no
    /// torn write can explain.
    pub(crate) fn follow(&mut self) -> Result<MissingGroup, LogError> {
        self.check_header(0)?;
        self.read_first_group()?;
        self.follow_on()
    }

    /// Continues after damage at the next group with an entry, unless entries after `applied` are lost by
    /// that. Returns the same as [`follow`](Self::follow), or `None` if it did not continue.
    pub(crate) fn resume(&mut self, applied: LogIndex) -> Option<Result<MissingGroup, LogError>> {
        let mut offset = self.offset();
        for place in self.current..self.segments.len() {
            let segment = self.segments[place].segment.clone();
            while offset < segment.size {
                // What the disk cannot read is passed over too.
                let group = segment.read_group(self.log_id, offset, &mut self.buffer);
                let Ok(Ok(group)) = group else {
                    offset += GROUP_ALIGNMENT as u64;
                    continue;
                };
                let size = group.header.size() as u64;
                let is_later = group.header.id.number > self.last_group.number;
                if let Some(first) = group.first_entry().filter(|_| is_later) {
                    return (first.index <= applied.next()).then(|| {
                        self.current = place;
                        self.segments[place].end = offset;
                        self.start_at(first, group)?;
                        self.follow_on()
                    });
                }
                offset += size;
            }
            offset = SEGMENT_HEADER_SIZE;
        }
        None
    }

    /// Takes `group`, whose first entry is `first`, as the first one of the log.
    fn start_at(&mut self, first: LogPosition, group: Group) -> Result<(), LogError> {
        self.has_resumed = true;
        // The term is not known: that of the first entry is the highest possible one.
        let index = first.index.0.checked_sub(1);
        let before = index.map(|index| LogPosition::new(first.term.0, index));
        self.index.reset(LogBounds {
            first: first.index.0,
            last: before,
            purged: before,
            committed: None,
        });
        let items = group.items.into_iter();
        let items = items.skip_while(|(_, item)| !matches!(item, Item::Entry(..)));
        self.add_items(group.header, items.collect())
    }

    fn follow_on(&mut self) -> Result<MissingGroup, LogError> {
        loop {
            let end = match self.next_group(self.current, self.offset())? {
                Ok(group) => {
                    self.add_group(group)?;
                    continue;
                }
                Err(end) => end,
            };
            if self.current + 1 == self.segments.len() {
                return Ok(end);
            }
            match self.next_group(self.current + 1, SEGMENT_HEADER_SIZE)? {
                Ok(group) => {
                    self.check_header(self.current + 1)?;
                    self.current += 1;
                    self.add_group(group)?;
                }
                Err(next) if end.reason.is_absence() && !next.reason.is_absence() => {
                    return Ok(next);
                }
                Err(_) => return Ok(end),
            }
        }
    }

    /// The offset after the last group, in its segment.
    pub(crate) fn offset(&self) -> u64 {
        self.segments[self.current].end
    }

    /// The segment of the last group.
    pub(crate) fn segment(&self) -> &Segment {
        &self.segments[self.current].segment
    }

    /// The segment of the last group and all later segments.
    pub(crate) fn rest(&self) -> impl Iterator<Item = &Segment> {
        self.segments[self.current..]
            .iter()
            .map(|usage| usage.segment.as_ref())
    }

    /// The end of the chain.
    pub(crate) fn end(&self) -> SyncedPosition {
        SyncedPosition {
            segment: self.segment().number,
            end: self.offset(),
            last_group: self.last_group,
        }
    }

    /// Fails when entries are missing that were not purged.
    pub(crate) fn check_first_entry(&self) -> Result<(), LogError> {
        match self.index.first_location() {
            Some(Location::Missing) => {
                let first = self.index.bounds.first;
                let what = format!("entry {first} is in no segment: earlier segments are missing");
                let segment = &self.segments[0].segment;
                Err(LogError::Damaged(segment.damage(0, what)))
            }
            _ => Ok(()),
        }
    }

    /// The index, the last group, the segments in use, and the segments after them.
    pub(crate) fn into_parts(
        mut self,
    ) -> (Index, GroupId, VecDeque<SegmentUsage>, Vec<SegmentUsage>) {
        let unused = self.segments.split_off(self.current + 1);
        (self.index, self.last_group, self.segments.into(), unused)
    }

    /// Sets `last_group` to the one before the first group. After a purge the first group has a
    /// number above 1.
    fn read_first_group(&mut self) -> Result<(), LogError> {
        let first = self.segments[0].segment.clone();
        if first.number == 1 {
            return Ok(());
        }
        let group = first.read_group(self.log_id, SEGMENT_HEADER_SIZE, &mut self.buffer);
        let damage = |what: String| first.damage(SEGMENT_HEADER_SIZE, what);
        let header = match group.map_err(LogError::io(&first.path))? {
            Ok(group) => group.header,
            Err(bad) => return Err(damage(bad.to_string()).into()),
        };
        // Before segments are removed, the group that allows it is recorded as synced. One of the
        // two slots may be damaged, so the other can lag by one group.
        if header.id.number > self.synced.last_group.number + 1 {
            let what = format!(
                "it starts with group {}, but only group {} was synced: earlier segments are \
                 missing",
                header.id.number, self.synced.last_group.number
            );
            return Err(damage(what).into());
        }
        self.last_group = GroupId {
            number: header.id.number - 1,
            checksum: header.previous_checksum,
        };
        Ok(())
    }

    /// Fails when the segment belongs to another log, or has another number than its name.
    fn check_header(&self, segment_index: usize) -> Result<(), LogError> {
        let segment = &self.segments[segment_index].segment;
        let what = match &self.headers[segment_index] {
            Err(bad) => return Err(LogError::bad_block(&segment.path, *bad)),
            Ok(header) if header.log_id != self.log_id => {
                "it belongs to another log than the vote file".to_owned()
            }
            Ok(header) if header.number != segment.number => {
                format!("it is segment {} under another name", header.number)
            }
            Ok(_) => return Ok(()),
        };
        Err(segment.damage(0, what).into())
    }

    fn next_group(
        &mut self,
        segment_index: usize,
        offset: u64,
    ) -> Result<Result<Group, MissingGroup>, LogError> {
        let segment = &self.segments[segment_index].segment;
        let group = segment.read_group(self.log_id, offset, &mut self.buffer);
        let group = group.map_err(LogError::io(&segment.path))?;
        let group = group.and_then(|group| group.check_follows(self.last_group).map(|()| group));
        Ok(group.map_err(|reason| MissingGroup {
            segment: segment_index,
            offset,
            reason,
        }))
    }

    fn add_group(&mut self, group: Group) -> Result<(), LogError> {
        let (start, size) = (self.offset(), group.header.size() as u64);
        let is_first = start == SEGMENT_HEADER_SIZE;
        if is_first != matches!(group.items.first(), Some((_, Item::Bounds(_)))) {
            let what =
                "only the first group of a segment may begin with the log's bounds, and it must";
            return Err(self.segment().damage(start, what).into());
        }
        self.add_items(group.header, group.items)?;
        self.check_synced()?;
        if self.last_group.number > self.synced.last_group.number {
            match self.unsynced.last_mut() {
                Some((segment, range)) if *segment == self.current => range.end = start + size,
                _ => self.unsynced.push((self.current, start..start + size)),
            }
        }
        Ok(())
    }

    fn add_items(
        &mut self,
        header: GroupHeader,
        items: Vec<(usize, Item)>,
    ) -> Result<(), LogError> {
        let start = self.offset();
        for (item_offset, item) in &items {
            let offset = start + *item_offset as u64;
            self.apply(item, offset)
                .map_err(|what| self.segment().damage(offset, what))?;
        }
        self.last_group = header.id;
        self.segments[self.current].end = start + header.size() as u64;
        Ok(())
    }

    fn apply(&mut self, item: &Item, offset: u64) -> Result<(), String> {
        let is_first_group = self.current == 0 && self.offset() == SEGMENT_HEADER_SIZE;
        match item {
            Item::Bounds(bounds) if is_first_group => self.index.reset(*bounds),
            Item::Bounds(bounds) if self.has_resumed && bounds.last == self.index.bounds.last => {}
            Item::Purge(upto) if self.has_resumed && self.index.bounds.has_purged(*upto) => {}
            Item::Entry(..) => {
                let location = Location::Disk(DiskLocation {
                    segment: self.segment().number,
                    offset: u32::try_from(offset).map_err(|error| error.to_string())?,
                    size: item.size() as u32,
                });
                (self.index.push(item, location)).map_err(|error| error.to_string())?;
            }
            _ => self.index.apply(item).map_err(|error| error.to_string())?,
        }
        SegmentUsage::record(self.segments[..=self.current].iter_mut(), item);
        Ok(())
    }

    /// Fails when the last synced group is not the recorded one, or not at the recorded offset.
    fn check_synced(&self) -> Result<(), LogError> {
        let is_last_synced = self.last_group.number == self.synced.last_group.number;
        match is_last_synced && self.end() != self.synced {
            true => {
                let number = self.last_group.number;
                let what = format!("group {number} is not the one that was synced");
                Err(self.segment().damage(self.offset(), what).into())
            }
            false => Ok(()),
        }
    }
}
