//! Up to where the log is synced, as far as is known.
//!
//! The file has two slots, written in turn after each sync of the log and without a sync of their
//! own: what a slot says was durable before it. So it may lag, and is never ahead. The number of a
//! slot's block counts the writes; its body has segment 8, end of the group in it 8, number of the
//! group 8 and its checksum 8.

use std::{io, path::Path};

use bytes::{Buf, BufMut};
use quorate_disk::{Disk, OpenMode};

use crate::{
    LogError,
    block::{Block, BlockKind, Pair},
    error::BadBlock,
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
    fn block(self, log_id: u64, number: u64) -> Block {
        let mut body = Vec::new();
        for field in [self.segment, self.end, self.link.number, self.link.checksum] {
            body.put_u64_le(field);
        }
        Block {
            kind: BlockKind::Synced,
            log_id,
            number,
            body,
        }
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
    pub(crate) log_id: u64,
    number: u64,
    /// Whether a slot was damaged when the file was opened.
    pub(crate) is_damaged: bool,
}

impl SyncedFile {
    /// Makes the file of a new log.
    pub(crate) fn create(disk: &dyn Disk, dir: &Path, log_id: u64) -> Result<(), LogError> {
        let blocks = [0, 1].map(|number| Synced::default().block(log_id, number));
        Pair::create(disk, &dir.join(SYNCED_FILE), [&blocks[0], &blocks[1]])
    }

    pub(crate) fn open(disk: &dyn Disk, dir: &Path) -> Result<(Self, Synced), LogError> {
        let path = dir.join(SYNCED_FILE);
        let pair = Pair::open(disk, &path, BlockKind::Synced, OpenMode::Write)?;
        let newest = pair.newest()?;
        let is_damaged = pair.read()?.contains(&Err(BadBlock::Damaged));
        let synced = Synced::parse(&newest.body)
            .ok_or_else(|| LogError::damaged(&path, 0, "the synced position cannot be read"))?;
        let file = Self {
            pair,
            log_id: newest.log_id,
            number: newest.number,
            is_damaged,
        };
        Ok((file, synced))
    }

    /// Writes the slot that does not hold the last note.
    pub(crate) fn note(&mut self, synced: Synced) -> io::Result<()> {
        self.number += 1;
        let block = synced.block(self.log_id, self.number);
        self.pair.write(self.number % 2, &block)
    }
}
