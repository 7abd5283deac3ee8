//! Reading the log of a node that will not start again, damaged or not.

use std::{io, path::Path, sync::Arc};

use bytes::Bytes;
use quorate_disk::{Disk, DiskFile, OpenMode};
use quorate_state::LogPosition;

use crate::{
    LogDamage, LogError, SavedVote, State,
    block::{BlockKind, BlockPair, BlockResult},
    bounds::Item,
    chain::Chain,
    group::{GROUP_ALIGNMENT, Group, GroupId},
    index::{Index, Location},
    recovery::{LOCK_FILE, LogFiles, check_end},
    segment::{SEGMENT_HEADER_SIZE, Segment},
    synced_position::{SYNCED_FILE, SyncedPosition},
    vote::VOTE_FILE,
};

/// Reads a log without opening it: nothing is written, and a damaged log is read up to the damage.
///
/// While it exists, no other process can open the log.
#[derive(Debug)]
pub struct LogReader {
    log_id: u64,
    segments: Vec<Arc<Segment>>,
    index: Index,
    vote: Option<SavedVote>,
    damage: Option<LogDamage>,
    _lock: Option<Arc<dyn DiskFile>>,
}

impl LogReader {
    /// Reads the log in `dir`, up to the first damage after entry `applied`: what is damaged before it is
    /// not needed.
    ///
    /// Fails when another process uses it, when its format is unknown, or when nothing in it can be read.
    pub fn open(
        disk: &dyn Disk,
        dir: &Path,
        applied: Option<LogPosition>,
    ) -> Result<Self, LogError> {
        let lock = lock_if_present(disk, dir)?;
        let files = LogFiles::list(disk, dir)?;
        let mut damage = FirstDamage::default();
        let vote = newest(disk, dir, VOTE_FILE, BlockKind::Vote, SavedVote::parse);
        let vote = damage.note_or(vote)?;
        let kind = BlockKind::SyncedPosition;
        let synced = newest(disk, dir, SYNCED_FILE, kind, SyncedPosition::parse);
        let synced = damage.note_or(synced)?;
        let is_slot_damaged = synced.as_ref().is_none_or(|synced| synced.is_damaged);
        let mut segments = Vec::new();
        for number in &files.segments {
            let opened = Segment::open(disk, dir, *number, OpenMode::Read);
            segments.extend(damage.note_or(opened)?);
        }
        let segments: Vec<_> = segments
            .into_iter()
            .map(|(segment, header)| (Arc::new(segment), header))
            .collect();
        let ids = [
            vote.as_ref().map(|vote| vote.log_id),
            synced.as_ref().map(|synced| synced.log_id),
        ];
        let of_segments = segments.iter().map(|(_, header)| header.as_ref());
        let mut of_segments = of_segments.filter_map(|header| Some(header.ok()?.log_id));
        let Some(log_id) = ids
            .into_iter()
            .flatten()
            .next()
            .or_else(|| of_segments.next())
        else {
            let what = "the id of the log is nowhere readable";
            return Err(LogError::damaged(dir, 0, what));
        };
        let synced = match synced {
            Some(synced) => synced.content,
            None => before_first_group(log_id, &segments),
        };
        let mut chain = Chain::new(log_id, segments.clone(), synced, Index::new(0));
        let mut end = match segments.is_empty() {
            true => Err(LogError::damaged(dir, 0, "it has no segment")),
            false => chain.follow(),
        };
        let end = loop {
            let checked = end.and_then(|end| check_end(&chain, end, is_slot_damaged));
            let after = applied.filter(|_| checked.is_err());
            match after.and_then(|applied| chain.resume(applied.index)) {
                Some(resumed) => end = resumed,
                None => break checked,
            }
        };
        damage.note_or(end)?;
        let reader = Self {
            log_id,
            segments: segments.into_iter().map(|(segment, _)| segment).collect(),
            index: chain.into_parts().0,
            vote: vote.and_then(|vote| vote.content),
            damage: None,
            _lock: lock,
        };
        // Entries in segments that are missing.
        let first = applied.map_or(reader.index.bounds.first, |applied| applied.index.next().0);
        let first = reader.index.intersect(first..u64::MAX).next();
        if let Some(Err(lost)) = first.map(|first| reader.entry(first)) {
            damage.note_or::<()>(Err(lost.into()))?;
        }
        let damage = damage.0;
        Ok(Self { damage, ..reader })
    }

    /// The vote, and the last, committed and purged position, up to the damage.
    pub fn state(&self) -> State {
        let bounds = &self.index.bounds;
        State {
            vote: self.vote,
            last: bounds.last,
            committed: bounds.committed,
            purged: bounds.purged,
        }
    }

    /// The first damage, if there is any. What was written after it is not in the log as it is read.
    pub fn damage(&self) -> Option<&LogDamage> {
        self.damage.as_ref()
    }

    /// The entries after `after`, in order, each read from its file. Ends after the first error.
    pub fn entries(
        &self,
        after: Option<LogPosition>,
    ) -> impl Iterator<Item = Result<(LogPosition, Bytes), LogDamage>> {
        let first = after.map_or(0, |after| after.index.next().0);
        let mut has_failed = false;
        self.index
            .intersect(first..u64::MAX)
            .map_while(move |index| {
                let entry = (!has_failed).then(|| self.entry(index))?;
                has_failed = entry.is_err();
                Some(entry)
            })
    }

    fn entry(&self, index: u64) -> Result<(LogPosition, Bytes), LogDamage> {
        let lost = |what: &str| LogDamage {
            path: self.segments[0].path.clone(),
            offset: 0,
            what: format!("entry {index} {what}"),
        };
        let found = self.index.find(index).ok_or_else(|| lost("is missing"))?;
        let Location::Disk(location) = found.location else {
            return Err(lost("is in no segment: earlier segments are missing"));
        };
        let mut segments = self.segments.iter();
        let segment = segments.find(|segment| segment.number == location.segment);
        let segment = segment.ok_or_else(|| lost("is in a segment that is missing"))?;
        segment.read_entry(self.log_id, location)
    }

    /// Calls `visit` for every undamaged entry in the files, in the order of the files: also those after
    /// the damage, and those that were truncated or purged later but are still there.
    pub fn for_each_in_files(
        &self,
        mut visit: impl FnMut(LogPosition, Bytes),
    ) -> Result<(), LogError> {
        let mut buffer = Vec::new();
        for segment in &self.segments {
            let mut offset = SEGMENT_HEADER_SIZE;
            while offset < segment.size {
                let group = segment.read_group(self.log_id, offset, &mut buffer);
                offset += match group {
                    Ok(Ok(group)) => {
                        let size = group.header.size() as u64;
                        for (_, item) in group.items {
                            if let Item::Entry(position, payload) = item {
                                visit(position, payload);
                            }
                        }
                        size
                    }
                    // A disk that cannot read a sector may be able to read the next one.
                    Ok(Err(_)) | Err(_) => GROUP_ALIGNMENT as u64,
                };
            }
        }
        Ok(())
    }

    /// The last entry in the files by term, then index, that is after the last one of the log as it is
    /// read. Without damage there is none that counts.
    pub fn last_unreachable(&self) -> Result<Option<LogPosition>, LogError> {
        let mut last = None;
        if self.damage.is_some() {
            self.for_each_in_files(|position, _| last = last.max(Some(position)))?;
        }
        Ok(last.filter(|last| Some(*last) > self.index.bounds.last))
    }
}

/// The first damage that was found.
#[derive(Default)]
struct FirstDamage(Option<LogDamage>);

impl FirstDamage {
    /// Records damage, and what the disk cannot read. Fails with any other error.
    fn note_or<T>(&mut self, result: Result<T, LogError>) -> Result<Option<T>, LogError> {
        let found = match result {
            Ok(value) => return Ok(Some(value)),
            Err(LogError::Damaged(found)) => found,
            Err(LogError::Io { path, source }) => LogDamage {
                path,
                offset: 0,
                what: source.to_string(),
            },
            Err(other) => return Err(other),
        };
        self.0.get_or_insert(found);
        Ok(None)
    }
}

/// Locks the log, unless it is a copy without the lock file.
fn lock_if_present(disk: &dyn Disk, dir: &Path) -> Result<Option<Arc<dyn DiskFile>>, LogError> {
    let path = dir.join(LOCK_FILE);
    match disk.open(&path, OpenMode::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(LogError::io(&path)(error)),
        Ok(lock) => match lock.try_lock().map_err(LogError::io(&path))? {
            true => Ok(Some(lock)),
            false => Err(LogError::Locked { dir: dir.into() }),
        },
    }
}

/// What a file of two blocks contains.
struct Copies<T> {
    log_id: u64,
    /// Of the newest block.
    content: T,
    /// Whether a block is damaged.
    is_damaged: bool,
}

fn newest<T>(
    disk: &dyn Disk,
    dir: &Path,
    name: &str,
    kind: BlockKind,
    parse: impl FnOnce(&[u8]) -> Option<T>,
) -> Result<Copies<T>, LogError> {
    let path = dir.join(name);
    let (pair, body) = BlockPair::open(disk, &path, kind, OpenMode::Read)?;
    let content = parse(&body).ok_or_else(|| LogError::damaged(&path, 0, "it cannot be read"))?;
    Ok(Copies {
        log_id: pair.log_id,
        content,
        is_damaged: pair.is_damaged,
    })
}

/// The position before the first group, for a log whose synced position is lost.
fn before_first_group(log_id: u64, segments: &[(Arc<Segment>, BlockResult)]) -> SyncedPosition {
    let read = segments
        .first()
        .map(|(first, _)| first.read_group(log_id, SEGMENT_HEADER_SIZE, &mut Vec::new()));
    let Some(Ok(Ok(Group { header, .. }))) = read else {
        return SyncedPosition::default();
    };
    SyncedPosition {
        last_group: GroupId {
            number: header.id.number.saturating_sub(1),
            checksum: header.previous_checksum,
        },
        ..SyncedPosition::default()
    }
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
