//! A segment: a file of fixed size that contains groups.
//!
//! Block 0 is the header, with the number of the segment. Groups follow. The rest of the file is
//! zeros, or groups from an earlier use, which are ignored: their numbers are too low.

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
    block::{BLOCK_SIZE, Block, BlockKind, BlockResult},
    bounds::Item,
    group::{BadGroup, Group},
    index::DiskLocation,
    item::parse_entry,
};

/// The extension of a segment that is in use or allocated in advance.
pub(crate) const SEGMENT_EXTENSION: &str = "seg";

/// The extension of a spare file, which will become a segment.
pub(crate) const SPARE_EXTENSION: &str = "spare";

/// Where the first group of a segment starts, in bytes.
pub(crate) const SEGMENT_HEADER_SIZE: u64 = BLOCK_SIZE as u64;

/// The path of a segment.
pub(crate) fn segment_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:012}.{SEGMENT_EXTENSION}"))
}

/// The number in the name of a segment. `None` for other files.
pub(crate) fn segment_number(path: &Path) -> Option<u64> {
    match path.extension()?.to_str()? {
        SEGMENT_EXTENSION => path.file_stem()?.to_str()?.parse().ok(),
        _ => None,
    }
}

/// A segment, and how much of it is in use.
#[derive(Debug, Clone)]
pub(crate) struct SegmentUsage {
    pub(crate) segment: Arc<Segment>,
    /// The offset at which the last group ends, in bytes.
    pub(crate) end: u64,
    /// An upper bound of the indexes of the entries in it that were not truncated.
    last_index: Option<u64>,
}

impl SegmentUsage {
    /// A segment without groups.
    pub(crate) fn new(segment: Arc<Segment>) -> Self {
        Self {
            segment,
            end: SEGMENT_HEADER_SIZE,
            last_index: None,
        }
    }

    /// The size of all groups in it, in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.end - SEGMENT_HEADER_SIZE
    }

    /// Whether it may contain an entry with this index or a later one.
    pub(crate) fn is_needed(&self, first_index: u64) -> bool {
        self.last_index.is_some_and(|last| last >= first_index)
    }

    /// Updates `segments` for an item that was written into the last of them.
    pub(crate) fn record<'a>(segments: impl Iterator<Item = &'a mut Self>, item: &Item) {
        match item {
            Item::Entry(position, _) => {
                if let Some(last) = segments.last() {
                    last.last_index = Some(position.index.0);
                }
            }
            Item::Truncate(keep) => {
                let keep = keep.map(|keep| keep.index.0);
                segments.for_each(|usage| usage.last_index = usage.last_index.min(keep));
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
    /// Turns a spare file into the segment of this number. Its name is durable only after the
    /// caller has synced the directory.
    pub(crate) fn create(
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
    ) -> Result<(Self, BlockResult), LogError> {
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

    /// Reads and verifies the group at `offset`, through `buffer`.
    pub(crate) fn read_group(
        &self,
        log_id: u64,
        offset: u64,
        buffer: &mut Vec<u8>,
    ) -> io::Result<Result<Group, BadGroup>> {
        Group::read(log_id, self.file.as_ref(), offset, self.size, buffer)
    }

    /// Reads the entry at `location`. It can be a newer one if the segment was reused meanwhile.
    pub(crate) fn read_entry(
        &self,
        log_id: u64,
        location: DiskLocation,
    ) -> Result<(LogPosition, Bytes), LogDamage> {
        let mut bytes = vec![0; location.size as usize];
        let read = self.file.read_at(&mut bytes, u64::from(location.offset));
        read.map_err(|error| self.damage(u64::from(location.offset), error))?;
        parse_entry(log_id, &mut bytes.as_slice())
            .ok_or_else(|| self.damage(u64::from(location.offset), "the entry's checksum is wrong"))
    }

    pub(crate) fn damage(&self, offset: u64, what: impl ToString) -> LogDamage {
        LogDamage {
            path: self.path.clone(),
            offset,
            what: what.to_string(),
        }
    }
}
