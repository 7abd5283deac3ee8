//! A block: 512 bytes that are written atomically and carry their own checksum.
//!
//! Segment headers, the copies of the vote and the two slots of the synced position are blocks. The
//! checksum is at the same offset in all versions, so that an unknown version is not taken for
//! damage.
//!
//! | offset | size | content |
//! |---|---|---|
//! | 0 | 8 | magic |
//! | 8 | 4 | version of the format |
//! | 12 | 4 | size of the body |
//! | 16 | 8 | id of the log, the seed of all its checksums |
//! | 24 | 8 | number of the block: its meaning depends on the magic |
//! | 32 | 472 | body, then zeros |
//! | 504 | 8 | XXH3-64 of all bytes before it |

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::{Buf, BufMut};
use quorate_disk::{Disk, DiskFile, OpenMode, SECTOR_SIZE};
use twox_hash::XxHash3_64;

use crate::{LogError, error::BadBlock};

/// The size of a block, in bytes.
pub(crate) const BLOCK_SIZE: usize = SECTOR_SIZE;

/// The prefix of the magic of every kind of block.
const MAGIC: &[u8] = b"Qlog1";

/// The version of the format of all files of the log.
const VERSION: u32 = 1;

const HEADER_SIZE: usize = 32;
const CHECKSUM_OFFSET: usize = BLOCK_SIZE - 8;

/// The distance between the two blocks of a pair. A damaged page of 4 KiB hits only one of them.
const PAIR_SPACING: u64 = 4096;

/// The size of a file with a pair of blocks.
const PAIR_SIZE: u64 = 2 * PAIR_SPACING;

/// The checksum of `bytes` in the log of this id. Foreign bytes, or those of another log, never
/// match it: nobody else knows the id.
pub(crate) fn checksum(log_id: u64, bytes: &[u8]) -> u64 {
    XxHash3_64::oneshot_with_seed(log_id, bytes)
}

/// What a block is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BlockKind {
    Segment,
    Vote,
    SyncedPosition,
}

impl BlockKind {
    const fn magic(self) -> &'static [u8; 8] {
        match self {
            Self::Segment => b"Qlog1seg",
            Self::Vote => b"Qlog1vot",
            Self::SyncedPosition => b"Qlog1syn",
        }
    }
}

/// The content of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) kind: BlockKind,
    pub(crate) log_id: u64,
    pub(crate) number: u64,
    pub(crate) body: Vec<u8>,
}

/// The result of reading a block.
pub(crate) type BlockResult = Result<Block, BadBlock>;

impl Block {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(BLOCK_SIZE);
        bytes.put_slice(self.kind.magic());
        bytes.put_u32_le(VERSION);
        bytes.put_u32_le(self.body.len() as u32);
        bytes.put_u64_le(self.log_id);
        bytes.put_u64_le(self.number);
        bytes.put_slice(&self.body);
        bytes.resize(CHECKSUM_OFFSET, 0);
        bytes.put_u64_le(checksum(self.log_id, &bytes));
        bytes
    }

    pub(crate) fn parse(kind: BlockKind, bytes: &[u8]) -> Result<Self, BadBlock> {
        let bytes: &[u8; BLOCK_SIZE] = bytes.try_into().map_err(|_| BadBlock::Damaged)?;
        let (content, mut stored) = bytes.split_at(CHECKSUM_OFFSET);
        let (magic, mut fields) = content.split_at(8);
        let version = fields.get_u32_le();
        let size = fields.get_u32_le() as usize;
        let log_id = fields.get_u64_le();
        let number = fields.get_u64_le();
        if checksum(log_id, content) != stored.get_u64_le() {
            return Err(BadBlock::Damaged);
        }
        if !magic.starts_with(MAGIC) {
            return Err(BadBlock::Version(0));
        }
        if magic != kind.magic() {
            return Err(BadBlock::Damaged);
        }
        if version != VERSION {
            return Err(BadBlock::Version(version));
        }
        let body = content.get(HEADER_SIZE..HEADER_SIZE + size);
        Ok(Self {
            kind,
            log_id,
            number,
            body: body.ok_or(BadBlock::Damaged)?.to_vec(),
        })
    }

    /// Reads the block at `offset`. A block beyond the end of the file is damaged.
    pub(crate) fn read(
        kind: BlockKind,
        file: &dyn DiskFile,
        offset: u64,
    ) -> io::Result<BlockResult> {
        let mut bytes = [0; BLOCK_SIZE];
        match file.read_at(&mut bytes, offset) {
            Ok(()) => Ok(Self::parse(kind, &bytes)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Ok(Err(BadBlock::Damaged))
            }
            Err(error) => Err(error),
        }
    }
}

/// A small file of two blocks.
#[derive(Debug)]
pub(crate) struct BlockPair {
    kind: BlockKind,
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) log_id: u64,
    /// The number of the newest block.
    pub(crate) number: u64,
    /// Whether a block was damaged when the file was opened.
    pub(crate) is_damaged: bool,
}

impl BlockPair {
    /// Creates the file with two blocks of these numbers. It gets its name once they are durable.
    pub(crate) fn create(
        disk: &dyn Disk,
        path: &Path,
        kind: BlockKind,
        log_id: u64,
        numbers: [u64; 2],
        body: &[u8],
    ) -> Result<(), LogError> {
        let temporary = path.with_extension("tmp");
        let write = || {
            let file = disk.open(&temporary, OpenMode::Create)?;
            file.allocate(PAIR_SIZE)?;
            for (slot, number) in numbers.into_iter().enumerate() {
                let body = body.to_vec();
                let block = Block {
                    kind,
                    log_id,
                    number,
                    body,
                };
                file.write_at(&block.encode(), slot as u64 * PAIR_SPACING)?;
            }
            file.sync_data()?;
            disk.rename(&temporary, path)
        };
        write().map_err(LogError::io(path))
    }

    /// Opens the file and returns the body of the block with the higher number. Fails when both
    /// blocks are damaged, or when one has an unknown version.
    pub(crate) fn open(
        disk: &dyn Disk,
        path: &Path,
        kind: BlockKind,
        mode: OpenMode,
    ) -> Result<(Self, Vec<u8>), LogError> {
        let read = Self::read(disk, path, kind, mode);
        let (file, copies) = read.map_err(LogError::io(path))?;
        let is_damaged = copies.contains(&Err(BadBlock::Damaged));
        let mut newest: Option<Block> = None;
        for copy in copies {
            match copy {
                Ok(block) if newest.as_ref().is_none_or(|it| it.number <= block.number) => {
                    newest = Some(block);
                }
                Ok(_) | Err(BadBlock::Damaged) => {}
                Err(unknown) => return Err(LogError::bad_block(path, unknown)),
            }
        }
        let damaged = || LogError::damaged(path, 0, "both copies are damaged");
        let newest = newest.ok_or_else(damaged)?;
        let pair = Self {
            kind,
            path: path.to_owned(),
            file,
            log_id: newest.log_id,
            number: newest.number,
            is_damaged,
        };
        Ok((pair, newest.body))
    }

    /// Opens the file and reads both blocks.
    pub(crate) fn read(
        disk: &dyn Disk,
        path: &Path,
        kind: BlockKind,
        mode: OpenMode,
    ) -> io::Result<(Arc<dyn DiskFile>, [BlockResult; 2])> {
        let file = disk.open(path, mode)?;
        let read = |slot| Block::read(kind, file.as_ref(), slot * PAIR_SPACING);
        let copies = [read(0)?, read(1)?];
        Ok((file, copies))
    }

    /// Writes a block with the current number into this slot, 0 or 1.
    pub(crate) fn write(&self, slot: u64, body: Vec<u8>) -> io::Result<()> {
        let block = Block {
            kind: self.kind,
            log_id: self.log_id,
            number: self.number,
            body,
        };
        self.file.write_at(&block.encode(), slot * PAIR_SPACING)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_read_as_it_was_written_and_any_flipped_bit_is_detected() {
        let block = Block {
            kind: BlockKind::Vote,
            log_id: 7,
            number: 3,
            body: b"body".to_vec(),
        };
        let mut bytes = block.encode();
        assert_eq!(Block::parse(BlockKind::Vote, &bytes), Ok(block));
        assert_eq!(
            Block::parse(BlockKind::SyncedPosition, &bytes),
            Err(BadBlock::Damaged)
        );
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            let parsed = Block::parse(BlockKind::Vote, &bytes);
            assert_eq!(parsed, Err(BadBlock::Damaged), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn an_unknown_version_is_not_reported_as_damage() {
        let mut bytes = Block {
            kind: BlockKind::Segment,
            log_id: 7,
            number: 1,
            body: Vec::new(),
        }
        .encode();
        bytes[8] = 2;
        let parse = |mut bytes: Vec<u8>| {
            let checksum = checksum(7, &bytes[..CHECKSUM_OFFSET]);
            bytes[CHECKSUM_OFFSET..].copy_from_slice(&checksum.to_le_bytes());
            Block::parse(BlockKind::Segment, &bytes)
        };
        assert_eq!(parse(bytes.clone()), Err(BadBlock::Version(2)));
        // The magic of an older format.
        bytes[..8].copy_from_slice(b"Q-segmnt");
        assert_eq!(parse(bytes), Err(BadBlock::Version(0)));
    }
}
