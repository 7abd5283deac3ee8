//! Following the groups of a log from its front.

use std::{collections::VecDeque, ops::Range, sync::Arc};

use crate::{
    LogError,
    base::Item,
    block::Header,
    group::{BadGroup, Group, Link},
    index::{DiskPlace, Index, Place},
    segment::{SEGMENT_HEADER_SIZE, Segment, Used},
    synced::Synced,
};

/// Where the next group was looked for, and why it is not there.
pub(crate) struct ChainEnd {
    /// The place of the segment among those given.
    pub(crate) place: usize,
    pub(crate) offset: u64,
    pub(crate) bad: BadGroup,
}

/// What has been followed so far.
pub(crate) struct Chain {
    pub(crate) log_id: u64,
    pub(crate) segments: Vec<Used>,
    headers: Vec<Header>,
    /// What was durable, at least.
    pub(crate) synced: Synced,
    /// The last group.
    pub(crate) link: Link,
    /// Groups that may not be durable, by the place of their segment in `segments`.
    pub(crate) unsynced: Vec<(usize, Range<u64>)>,
    index: Index,
    current: usize,
    buffer: Vec<u8>,
}

impl Chain {
    pub(crate) fn new(
        log_id: u64,
        segments: Vec<(Segment, Header)>,
        synced: Synced,
        index: Index,
    ) -> Self {
        let (segments, headers) = segments
            .into_iter()
            .map(|(segment, header)| (Used::new(Arc::new(segment)), header))
            .unzip();
        Self {
            log_id,
            segments,
            headers,
            synced,
            link: Link::default(),
            unsynced: Vec::new(),
            index,
            current: 0,
            buffer: Vec::new(),
        }
    }

    /// Follows the groups and says why there is no further one.
    pub(crate) fn follow(&mut self) -> Result<ChainEnd, LogError> {
        self.check_header(0)?;
        self.start()?;
        loop {
            let here = match self.next_group(self.current, self.offset())? {
                Ok(group) => {
                    self.take(group)?;
                    continue;
                }
                Err(end) => end,
            };
            if self.current + 1 == self.segments.len() {
                return Ok(here);
            }
            match self.next_group(self.current + 1, SEGMENT_HEADER_SIZE)? {
                Ok(group) => {
                    self.check_header(self.current + 1)?;
                    self.current += 1;
                    self.take(group)?;
                }
                Err(there) if here.bad.is_absence() && !there.bad.is_absence() => {
                    return Ok(there);
                }
                Err(_) => return Ok(here),
            }
        }
    }

    /// Where the next group would be in the segment of the last one.
    pub(crate) fn offset(&self) -> u64 {
        self.segments[self.current].end
    }

    /// The segment of the last group.
    pub(crate) fn segment(&self) -> &Segment {
        &self.segments[self.current].segment
    }

    /// That segment and those behind it.
    pub(crate) fn rest(&self) -> impl Iterator<Item = &Segment> {
        self.segments[self.current..]
            .iter()
            .map(|used| used.segment.as_ref())
    }

    /// The end of the chain.
    pub(crate) fn end(&self) -> Synced {
        Synced {
            segment: self.segment().number,
            end: self.offset(),
            link: self.link,
        }
    }

    /// Whether all entries are there that were not purged.
    pub(crate) fn check_front(&self) -> Result<(), LogError> {
        match self.index.first_place() {
            Some(Place::Missing) => {
                let first = self.index.base.first;
                let what = format!("entry {first} is in no segment: those before are missing");
                let front = &self.segments[0].segment;
                Err(LogError::Damaged(front.damage(0, what)))
            }
            _ => Ok(()),
        }
    }

    /// Index, last group, the segments in use and those behind them.
    pub(crate) fn into_parts(mut self) -> (Index, Link, VecDeque<Used>, Vec<Used>) {
        let beyond = self.segments.split_off(self.current + 1);
        (self.index, self.link, self.segments.into(), beyond)
    }

    /// The first group of the front has any number, once those before it have gone.
    fn start(&mut self) -> Result<(), LogError> {
        let front = self.segments[0].segment.clone();
        if front.number == 1 {
            return Ok(());
        }
        let group = front.read_group(self.log_id, SEGMENT_HEADER_SIZE, &mut self.buffer);
        let damage = |what: String| front.damage(SEGMENT_HEADER_SIZE, what);
        let header = match group.map_err(LogError::io(&front.path))? {
            Ok(group) => group.header,
            Err(bad) => return Err(damage(bad.to_string()).into()),
        };
        // Before segments go, what makes them needless is noted: in two slots, of which one may be
        // damaged.
        if header.link.number > self.synced.link.number + 1 {
            let what = format!(
                "it starts with group {}, but only group {} was synced: segments before are missing",
                header.link.number, self.synced.link.number
            );
            return Err(damage(what).into());
        }
        self.link = Link {
            number: header.link.number - 1,
            checksum: header.previous,
        };
        Ok(())
    }

    /// Whether the segment is of this log and is what its name says.
    fn check_header(&self, place: usize) -> Result<(), LogError> {
        let segment = &self.segments[place].segment;
        let what = match &self.headers[place] {
            Err(bad) => return Err(LogError::bad_block(&segment.path, *bad)),
            Ok(header) if header.log_id != self.log_id => {
                "it belongs to another log than the vote".to_owned()
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
        place: usize,
        offset: u64,
    ) -> Result<Result<Group, ChainEnd>, LogError> {
        let segment = &self.segments[place].segment;
        let group = segment.read_group(self.log_id, offset, &mut self.buffer);
        let group = group.map_err(LogError::io(&segment.path))?;
        let group = group.and_then(|group| group.check_follows(self.link).map(|()| group));
        Ok(group.map_err(|bad| ChainEnd { place, offset, bad }))
    }

    fn take(&mut self, group: Group) -> Result<(), LogError> {
        let (start, size) = (self.offset(), group.header.size() as u64);
        let is_first = start == SEGMENT_HEADER_SIZE;
        if is_first != matches!(group.items.first(), Some((_, Item::Base(_)))) {
            let what = "the first group of a segment, and no other, begins with a base";
            return Err(self.segment().damage(start, what).into());
        }
        for (item_offset, item) in &group.items {
            let offset = start + *item_offset as u64;
            self.apply(item, offset)
                .map_err(|what| self.segment().damage(offset, what))?;
        }
        self.link = group.header.link;
        self.segments[self.current].end = start + size;
        self.check_synced()?;
        if self.link.number > self.synced.link.number {
            match self.unsynced.last_mut() {
                Some((place, range)) if *place == self.current => range.end = start + size,
                _ => self.unsynced.push((self.current, start..start + size)),
            }
        }
        Ok(())
    }

    fn apply(&mut self, item: &Item, offset: u64) -> Result<(), String> {
        let is_front = self.current == 0 && self.offset() == SEGMENT_HEADER_SIZE;
        match item {
            Item::Base(base) if is_front => self.index.restart(*base),
            Item::Entry(..) => {
                let place = Place::Disk(DiskPlace {
                    segment: self.segment().number,
                    offset: u32::try_from(offset).map_err(|error| error.to_string())?,
                    size: item.size() as u32,
                });
                (self.index.push(item, place)).map_err(|error| error.to_string())?;
            }
            _ => self.index.apply(item).map_err(|error| error.to_string())?,
        }
        Used::note(self.segments[..=self.current].iter_mut(), item);
        Ok(())
    }

    /// Whether the last synced group is the one that was noted, where it was noted.
    fn check_synced(&self) -> Result<(), LogError> {
        match self.link.number == self.synced.link.number && self.end() != self.synced {
            true => {
                let what = format!("group {} is not the one that was synced", self.link.number);
                Err(self.segment().damage(self.offset(), what).into())
            }
            false => Ok(()),
        }
    }
}
