//! A group: the items that are written and synced together.
//!
//! Each starts on a boundary of 512 bytes with this header. The items of the body follow, then
//! zeros up to the next boundary. Numbers are little-endian. Checksums are XXH3-64 with the id of
//! the log as seed.
//!
//! | offset | size | content |
//! |---|---|---|
//! | 0 | 4 | magic |
//! | 4 | 4 | size of the body |
//! | 8 | 8 | number of the group: one more than that of the previous group |
//! | 16 | 8 | checksum of the header of the previous group, so that the groups form a chain |
//! | 24 | 8 | checksum of the body and the zeros after it |
//! | 32 | 8 | checksum of the header up to here |

use std::io;

use bytes::{Buf, BufMut};
use quorate_disk::DiskFile;
use quorate_state::LogPosition;

use crate::{
    block::{BLOCK_SIZE, checksum},
    bounds::Item,
};

const MAGIC: u32 = u32::from_le_bytes(*b"Qgrp");
const CHECKSUM_OFFSET: usize = 32;

/// The size of the header, in bytes.
pub(crate) const GROUP_HEADER_SIZE: usize = CHECKSUM_OFFSET + 8;

/// The alignment of groups. A disk writes this much atomically, so a torn group damages no other.
pub(crate) const GROUP_ALIGNMENT: usize = BLOCK_SIZE;

/// The largest group, in bytes. It limits the memory for writing and reading one. A sync of this
/// size is already expensive, so larger groups would save nothing.
pub(crate) const GROUP_SIZE_MAX: usize = 4 * 1024 * 1024;

/// The size on disk of a group with a body of this size, in bytes.
pub(crate) const fn group_size(body_size: usize) -> usize {
    (GROUP_HEADER_SIZE + body_size).next_multiple_of(GROUP_ALIGNMENT)
}

/// Identifies a group. The default, number 0, means that there is no group yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct GroupId {
    /// The number of the group, counted from 1.
    pub(crate) number: u64,
    /// The checksum of its header, which includes the checksum of its body.
    pub(crate) checksum: u64,
}

/// The header of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GroupHeader {
    pub(crate) id: GroupId,
    /// The checksum of the previous group.
    pub(crate) previous_checksum: u64,
    body_size: u32,
    body_checksum: u64,
}

impl GroupHeader {
    /// Parses the header at the start of `bytes`. Fails when there is none, or it is damaged.
    pub(crate) fn parse(log_id: u64, bytes: &[u8]) -> Result<Self, BadGroup> {
        let (mut fields, mut stored) = bytes
            .split_at_checked(CHECKSUM_OFFSET)
            .ok_or(BadGroup::None)?;
        let found = checksum(log_id, fields);
        let magic = fields.get_u32_le();
        let body_size = fields.get_u32_le();
        let number = fields.get_u64_le();
        let previous_checksum = fields.get_u64_le();
        let body_checksum = fields.get_u64_le();
        let checksum = stored.try_get_u64_le().map_err(|_| BadGroup::None)?;
        if magic != MAGIC {
            return Err(BadGroup::None);
        }
        if found != checksum {
            return Err(BadGroup::Header);
        }
        Ok(Self {
            id: GroupId { number, checksum },
            previous_checksum,
            body_size,
            body_checksum,
        })
    }

    /// The size of the complete group on disk, in bytes.
    pub(crate) fn size(&self) -> usize {
        group_size(self.body_size as usize)
    }
}

/// A group being written, in a reused buffer.
#[derive(Debug, Default)]
pub(crate) struct GroupBuffer {
    pub(crate) bytes: Vec<u8>,
}

impl GroupBuffer {
    pub(crate) fn start(&mut self) {
        self.bytes.clear();
        self.bytes.resize(GROUP_HEADER_SIZE, 0);
    }

    /// Adds an item and returns its offset in the group.
    pub(crate) fn push(&mut self, log_id: u64, item: &Item) -> usize {
        let offset = self.bytes.len();
        item.encode(log_id, &mut self.bytes);
        offset
    }

    /// Writes the header and the padding, and returns the id of the group, which follows
    /// `previous`.
    pub(crate) fn seal(&mut self, log_id: u64, previous: GroupId) -> GroupId {
        let body_size = self.bytes.len() - GROUP_HEADER_SIZE;
        let number = previous.number + 1;
        self.bytes.resize(group_size(body_size), 0);
        let body_checksum = checksum(log_id, &self.bytes[GROUP_HEADER_SIZE..]);
        let mut header = &mut self.bytes[..CHECKSUM_OFFSET];
        header.put_u32_le(MAGIC);
        header.put_u32_le(body_size as u32);
        header.put_u64_le(number);
        header.put_u64_le(previous.checksum);
        header.put_u64_le(body_checksum);
        let checksum = checksum(log_id, &self.bytes[..CHECKSUM_OFFSET]);
        self.bytes[CHECKSUM_OFFSET..GROUP_HEADER_SIZE].copy_from_slice(&checksum.to_le_bytes());
        GroupId { number, checksum }
    }
}

/// A group read from disk.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) header: GroupHeader,
    /// The items, each with its offset in the group.
    pub(crate) items: Vec<(usize, Item)>,
}

/// Why there is no valid group at an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadGroup {
    #[error("there is no group")]
    None,
    #[error("the checksum of the group's header is wrong")]
    Header,
    #[error("the group is longer than its segment")]
    Size,
    #[error("the checksum of the group is wrong")]
    Body,
    #[error("an item of the group cannot be read")]
    Items,
    #[error("group {found} was found instead of group {expected}")]
    Number { found: u64, expected: u64 },
    #[error("the group does not follow the previous one")]
    Chain,
}

impl BadGroup {
    /// Whether it looks as if nothing was written there since the segment was allocated or reused.
    pub(crate) fn is_absence(self) -> bool {
        matches!(self, Self::None | Self::Number { .. })
    }
}

impl Group {
    /// Reads and verifies the group at `offset` of a file of `file_size` bytes. `bytes` is a
    /// buffer, which contains the group afterwards.
    pub(crate) fn read(
        log_id: u64,
        file: &dyn DiskFile,
        offset: u64,
        file_size: u64,
        bytes: &mut Vec<u8>,
    ) -> io::Result<Result<Self, BadGroup>> {
        bytes.resize(GROUP_ALIGNMENT, 0);
        if offset + GROUP_ALIGNMENT as u64 > file_size {
            return Ok(Err(BadGroup::None));
        }
        file.read_at(bytes, offset)?;
        let header = match GroupHeader::parse(log_id, bytes) {
            Ok(header) => header,
            Err(bad) => return Ok(Err(bad)),
        };
        let size = header.size();
        if size > GROUP_SIZE_MAX || offset + size as u64 > file_size {
            return Ok(Err(BadGroup::Size));
        }
        bytes.resize(size, 0);
        file.read_at(
            &mut bytes[GROUP_ALIGNMENT..],
            offset + GROUP_ALIGNMENT as u64,
        )?;
        Ok(Self::parse(log_id, header, bytes))
    }

    fn parse(log_id: u64, header: GroupHeader, bytes: &[u8]) -> Result<Self, BadGroup> {
        let body = &bytes[GROUP_HEADER_SIZE..];
        if checksum(log_id, body) != header.body_checksum {
            return Err(BadGroup::Body);
        }
        let mut rest = body
            .get(..header.body_size as usize)
            .ok_or(BadGroup::Size)?;
        let mut items = Vec::new();
        while !rest.is_empty() {
            let offset = GROUP_HEADER_SIZE + header.body_size as usize - rest.len();
            let item = Item::parse(log_id, &mut rest).ok_or(BadGroup::Items)?;
            items.push((offset, item));
        }
        Ok(Self { header, items })
    }

    /// Its first entry.
    pub(crate) fn first_entry(&self) -> Option<LogPosition> {
        self.items.iter().find_map(|(_, item)| match item {
            Item::Entry(position, _) => Some(*position),
            _ => None,
        })
    }

    /// Fails when this is not the group after `previous`.
    pub(crate) fn check_follows(&self, previous: GroupId) -> Result<(), BadGroup> {
        let (found, expected) = (self.header.id.number, previous.number + 1);
        if found != expected {
            return Err(BadGroup::Number { found, expected });
        }
        match self.header.previous_checksum == previous.checksum {
            true => Ok(()),
            false => Err(BadGroup::Chain),
        }
    }
}
