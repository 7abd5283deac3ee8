//! The position up to which the log is known to be synced.
//!
//! The file has two slots, which are written in turn after each sync of the log, but not synced
//! themselves. So a slot may lag behind the log, but is never ahead of it. The number of a slot's
//! block counts the writes. Its body has segment 8, end of the last group in it 8, number of that
//! group 8 and checksum of that group 8.

use std::{io, path::Path};

use bytes::Buf;
use quorate_disk::{Disk, OpenMode};

use crate::{
    LogError,
    block::{BlockKind, BlockPair},
    group::GroupId,
};

/// The name of the file.
pub(crate) const SYNCED_FILE: &str = "synced";

/// The last synced group, and where it ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct SyncedPosition {
    /// The segment of the last group.
    pub(crate) segment: u64,
    /// The offset at which the last group ends, in bytes.
    pub(crate) end: u64,
    pub(crate) last_group: GroupId,
}

impl SyncedPosition {
    fn encode(self) -> Vec<u8> {
        let GroupId { number, checksum } = self.last_group;
        let fields = [self.segment, self.end, number, checksum];
        fields.map(u64::to_le_bytes).concat()
    }

    pub(crate) fn parse(mut body: &[u8]) -> Option<Self> {
        Some(Self {
            segment: body.try_get_u64_le().ok()?,
            end: body.try_get_u64_le().ok()?,
            last_group: GroupId {
                number: body.try_get_u64_le().ok()?,
                checksum: body.try_get_u64_le().ok()?,
            },
        })
    }
}

/// The file of the synced position.
#[derive(Debug)]
pub(crate) struct SyncedFile {
    pub(crate) pair: BlockPair,
}

impl SyncedFile {
    /// Creates the file of a new log.
    pub(crate) fn create(disk: &dyn Disk, dir: &Path, log_id: u64) -> Result<(), LogError> {
        let (path, body) = (dir.join(SYNCED_FILE), SyncedPosition::default().encode());
        BlockPair::create(
            disk,
            &path,
            BlockKind::SyncedPosition,
            log_id,
            [0, 1],
            &body,
        )
    }

    pub(crate) fn open(disk: &dyn Disk, dir: &Path) -> Result<(Self, SyncedPosition), LogError> {
        let path = dir.join(SYNCED_FILE);
        let (pair, newest) =
            BlockPair::open(disk, &path, BlockKind::SyncedPosition, OpenMode::Write)?;
        let synced = SyncedPosition::parse(&newest)
            .ok_or_else(|| LogError::damaged(&path, 0, "the synced position cannot be read"))?;
        Ok((Self { pair }, synced))
    }

    /// Writes the position into the older slot.
    pub(crate) fn write(&mut self, synced: SyncedPosition) -> io::Result<()> {
        self.pair.number += 1;
        self.pair.write(self.pair.number % 2, synced.encode())
    }
}
