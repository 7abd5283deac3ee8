//! A segment: a file of fixed size that holds groups.
//!
//! Block 0 is the header, whose number is that of the segment; groups follow. The file is full of
//! written zeros, or of groups of an earlier use, which nobody believes: their numbers are too low.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use quorate_disk::{Disk, DiskFile, OpenMode};
use quorate_state::LogPosition;

use crate::{
    LogDamage, LogError,
    base::Item,
    block::{BLOCK_SIZE, Block, BlockKind, Header},
    group::{BadGroup, Group},
    index::DiskPlace,
    item::parse_entry,
};

/// The extension of a segment that is part of the log, or stands ready to be.
pub(crate) const SEGMENT_EXTENSION: &str = "seg";

/// The extension of a file that will be a segment.
pub(crate) const SPARE_EXTENSION: &str = "spare";

/// Where the first group of a segment starts, in bytes.
pub(crate) const SEGMENT_HEADER_SIZE: u64 = BLOCK_SIZE as u64;

/// The path of a segment.
pub(crate) fn segment_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:012}.{SEGMENT_EXTENSION}"))
}

/// The number of the segment of this name.
pub(crate) fn segment_number(path: &Path) -> Option<u64> {
    match path.extension()?.to_str()? {
        SEGMENT_EXTENSION => path.file_stem()?.to_str()?.parse().ok(),
        _ => None,
    }
}

/// A segment, and how much of it is used.
#[derive(Debug, Clone)]
pub(crate) struct Used {
    pub(crate) segment: Arc<Segment>,
    /// Where the last group ends, in bytes.
    pub(crate) end: u64,
    /// Index of the last entry in it that was not truncated, or a later one.
    last_index: Option<u64>,
}

impl Used {
    /// A segment with no group yet.
    pub(crate) fn new(segment: Arc<Segment>) -> Self {
        Self {
            segment,
            end: SEGMENT_HEADER_SIZE,
            last_index: None,
        }
    }

    /// The size of its groups, in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.end - SEGMENT_HEADER_SIZE
    }

    /// Whether it may hold an entry from this index on.
    pub(crate) fn is_needed(&self, first_index: u64) -> bool {
        self.last_index.is_some_and(|last| last >= first_index)
    }

    /// Notes what an item in the last of `segments` does to the entries in all of them.
    pub(crate) fn note<'a>(segments: impl Iterator<Item = &'a mut Self>, item: &Item) {
        match item {
            Item::Entry(position, _) => {
                if let Some(last) = segments.last() {
                    last.last_index = Some(position.index.0);
                }
            }
            Item::Truncate(keep) => {
                let keep = keep.map(|keep| keep.index.0);
                segments.for_each(|used| used.last_index = used.last_index.min(keep));
            }
            _ => {}
        }
    }
}

#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) number: u64,
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn DiskFile>,
    /// The size, in bytes.
    pub(crate) size: u64,
}

impl Segment {
    /// Makes a spare file the segment of this number; the name is durable only after the directory
    /// is synced.
    pub(crate) fn make(
        disk: &dyn Disk,
        dir: &Path,
        spare: &Path,
        number: u64,
        size: u64,
        log_id: u64,
        is_synced: bool,
    ) -> io::Result<Self> {
        let file = disk.open(spare, OpenMode::Create)?;
        file.allocate(size)?;
        let header = Block {
            kind: BlockKind::Segment,
            log_id,
            number,
            body: Vec::new(),
        };
        file.write_at(&header.encode(), 0)?;
        if is_synced {
            file.sync_data()?;
        }
        let path = segment_path(dir, number);
        disk.rename(spare, &path)?;
        Ok(Self {
            number,
            path,
            file,
            size,
        })
    }

    /// Opens a segment and reads its header.
    pub(crate) fn open(
        disk: &dyn Disk,
        dir: &Path,
        number: u64,
        mode: OpenMode,
    ) -> Result<(Self, Header), LogError> {
        let path = segment_path(dir, number);
        let file = disk.open(&path, mode).map_err(LogError::io(&path))?;
        let header = Block::read(BlockKind::Segment, file.as_ref(), 0);
        let header = header.map_err(LogError::io(&path))?;
        let size = file.size().map_err(LogError::io(&path))?;
        let segment = Self {
            number,
            path,
            file,
            size,
        };
        Ok((segment, header))
    }

    /// Reads and verifies the group at `offset`. `buffer` holds it afterwards.
    pub(crate) fn read_group(
        &self,
        log_id: u64,
        offset: u64,
        buffer: &mut Vec<u8>,
    ) -> io::Result<Result<Group, BadGroup>> {
        Group::read(log_id, self.file.as_ref(), offset, self.size, buffer)
    }

    /// Reads the entry at `place`, whatever it is now.
    pub(crate) fn read_entry(
        &self,
        log_id: u64,
        place: DiskPlace,
    ) -> Result<(LogPosition, Bytes), LogDamage> {
        let mut bytes = vec![0; place.size as usize];
        let read = self.file.read_at(&mut bytes, u64::from(place.offset));
        read.map_err(|error| self.damage(u64::from(place.offset), error))?;
        parse_entry(log_id, &mut bytes.as_slice())
            .ok_or_else(|| self.damage(u64::from(place.offset), "the entry's checksum is wrong"))
    }

    pub(crate) fn damage(&self, offset: u64, what: impl ToString) -> LogDamage {
        LogDamage {
            path: self.path.clone(),
            offset,
            what: what.to_string(),
        }
    }
}
