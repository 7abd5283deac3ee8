//! Up to where the log is synced, as far as is known.
//!
//! The file has two slots, written in turn after each sync of the log and without a sync of their
//! own: what a slot says was durable before it. So it may lag, and is never ahead. The number of a
//! slot's block counts the writes; its body has segment 8, end of the group in it 8, number of the
//! group 8 and its checksum 8.

use std::{io, path::Path};

use bytes::Buf;
use quorate_disk::Disk;

use crate::{
    LogError,
    block::{BlockKind, Pair},
    group::Link,
};

/// The name of the file.
pub(crate) const SYNCED_FILE: &str = "synced";

/// The end of what is synced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Synced {
    /// The segment of the last group.
    pub(crate) segment: u64,
    /// Where the last group ends in it, in bytes.
    pub(crate) end: u64,
    /// The last group. The first is 1: 0 says that there is none.
    pub(crate) link: Link,
}

impl Synced {
    fn encode(self) -> Vec<u8> {
        let Link { number, checksum } = self.link;
        let fields = [self.segment, self.end, number, checksum];
        fields.map(u64::to_le_bytes).concat()
    }

    pub(crate) fn parse(mut body: &[u8]) -> Option<Self> {
        Some(Self {
            segment: body.try_get_u64_le().ok()?,
            end: body.try_get_u64_le().ok()?,
            link: Link {
                number: body.try_get_u64_le().ok()?,
                checksum: body.try_get_u64_le().ok()?,
            },
        })
    }
}

/// The file of the synced position.
#[derive(Debug)]
pub(crate) struct SyncedFile {
    pub(crate) pair: Pair,
}

impl SyncedFile {
    /// Makes the file of a new log.
    pub(crate) fn create(disk: &dyn Disk, dir: &Path, log_id: u64) -> Result<(), LogError> {
        let (path, body) = (dir.join(SYNCED_FILE), Synced::default().encode());
        Pair::create(disk, &path, BlockKind::Synced, log_id, [0, 1], &body)
    }

    pub(crate) fn open(disk: &dyn Disk, dir: &Path) -> Result<(Self, Synced), LogError> {
        let path = dir.join(SYNCED_FILE);
        let (pair, newest) = Pair::open(disk, &path, BlockKind::Synced)?;
        let synced = Synced::parse(&newest)
            .ok_or_else(|| LogError::damaged(&path, 0, "the synced position cannot be read"))?;
        Ok((Self { pair }, synced))
    }

    /// Writes the slot that does not hold the last note.
    pub(crate) fn note(&mut self, synced: Synced) -> io::Result<()> {
        self.pair.number += 1;
        self.pair.write(self.pair.number % 2, synced.encode())
    }
}
