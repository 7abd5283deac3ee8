//! The encoding of items.
//!
//! | item | tag | bytes after the tag |
//! |---|---|---|
//! | bounds | 1 | first index 8, then last, purged and committed, each an optional position 17 |
//! | entry | 2 | term 8, index 8, size 4, payload, XXH3-64 of all bytes of the item before it 8 |
//! | truncate | 3 | the optional position 17 of the last entry that is kept |
//! | purge | 4 | term 8, index 8 of the last entry that is removed |
//! | committed | 5 | term 8, index 8 |
//!
//! Numbers are little-endian. An optional position is a byte, 0 or 1, then term 8 and index 8. An
//! entry has a checksum of its own, so that it can be read without its group.

use bytes::{Buf, BufMut, Bytes, TryGetError};
use quorate_state::LogPosition;

use crate::{
    block::checksum,
    bounds::{Item, LogBounds},
};

mod tag {
    pub(super) const BOUNDS: u8 = 1;
    pub(super) const ENTRY: u8 = 2;
    pub(super) const TRUNCATE: u8 = 3;
    pub(super) const PURGE: u8 = 4;
    pub(super) const COMMITTED: u8 = 5;
}

const POSITION_SIZE: usize = 16;
const ENTRY_HEADER_SIZE: usize = 1 + POSITION_SIZE + 4;
const CHECKSUM_SIZE: usize = 8;

/// The size of an entry without its payload, in bytes.
pub(crate) const ENTRY_OVERHEAD: usize = ENTRY_HEADER_SIZE + CHECKSUM_SIZE;

/// The size of encoded bounds, in bytes.
pub(crate) const BOUNDS_SIZE: usize = 1 + 8 + 3 * (1 + POSITION_SIZE);

impl Item {
    /// The size of its encoding, in bytes.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Bounds(_) => BOUNDS_SIZE,
            Self::Entry(_, payload) => ENTRY_OVERHEAD + payload.len(),
            Self::Truncate(_) => 2 + POSITION_SIZE,
            Self::Purge(_) | Self::Committed(_) => 1 + POSITION_SIZE,
        }
    }

    pub(crate) fn encode(&self, log_id: u64, bytes: &mut Vec<u8>) {
        match self {
            Self::Bounds(bounds) => {
                bytes.put_u8(tag::BOUNDS);
                bytes.put_u64_le(bounds.first);
                for position in [bounds.last, bounds.purged, bounds.committed] {
                    put_optional(bytes, position);
                }
            }
            Self::Entry(position, payload) => {
                let start = bytes.len();
                bytes.put_u8(tag::ENTRY);
                put_position(bytes, *position);
                bytes.put_u32_le(payload.len() as u32);
                bytes.put_slice(payload);
                bytes.put_u64_le(checksum(log_id, &bytes[start..]));
            }
            Self::Truncate(keep) => {
                bytes.put_u8(tag::TRUNCATE);
                put_optional(bytes, *keep);
            }
            Self::Purge(upto) => {
                bytes.put_u8(tag::PURGE);
                put_position(bytes, *upto);
            }
            Self::Committed(position) => {
                bytes.put_u8(tag::COMMITTED);
                put_position(bytes, *position);
            }
        }
    }

    /// Parses the next item and advances `bytes` past it. `None` when there is no valid item.
    pub(crate) fn parse(log_id: u64, bytes: &mut &[u8]) -> Option<Self> {
        match bytes.first()? {
            &tag::ENTRY => parse_entry(log_id, bytes).map(|(at, payload)| Self::Entry(at, payload)),
            _ => parse_other(bytes).ok().flatten(),
        }
    }
}

/// Parses an entry and advances `bytes` past it. `None` when there is no undamaged one.
pub(crate) fn parse_entry(log_id: u64, bytes: &mut &[u8]) -> Option<(LogPosition, Bytes)> {
    let mut header = *bytes;
    if header.try_get_u8().ok()? != tag::ENTRY {
        return None;
    }
    let position = position(&mut header).ok()?;
    let size = header.try_get_u32_le().ok()? as usize;
    let payload = header.get(..size)?;
    let (content, mut rest) = bytes.split_at_checked(ENTRY_HEADER_SIZE + size)?;
    let stored = rest.try_get_u64_le().ok()?;
    *bytes = rest;
    (stored == checksum(log_id, content)).then(|| (position, Bytes::copy_from_slice(payload)))
}

fn parse_other(bytes: &mut &[u8]) -> Result<Option<Item>, TryGetError> {
    Ok(match bytes.try_get_u8()? {
        tag::BOUNDS => {
            let first = bytes.try_get_u64_le()?;
            let last = optional(bytes)?;
            let purged = optional(bytes)?;
            let committed = optional(bytes)?;
            Some(Item::Bounds(LogBounds {
                first,
                last,
                purged,
                committed,
            }))
        }
        tag::TRUNCATE => Some(Item::Truncate(optional(bytes)?)),
        tag::PURGE => Some(Item::Purge(position(bytes)?)),
        tag::COMMITTED => Some(Item::Committed(position(bytes)?)),
        _ => None,
    })
}

fn put_position(bytes: &mut Vec<u8>, position: LogPosition) {
    bytes.put_u64_le(position.term.0);
    bytes.put_u64_le(position.index.0);
}

fn put_optional(bytes: &mut Vec<u8>, position: Option<LogPosition>) {
    bytes.put_u8(u8::from(position.is_some()));
    put_position(bytes, position.unwrap_or(LogPosition::new(0, 0)));
}

fn position(bytes: &mut &[u8]) -> Result<LogPosition, TryGetError> {
    let (term, index) = (bytes.try_get_u64_le()?, bytes.try_get_u64_le()?);
    Ok(LogPosition::new(term, index))
}

fn optional(bytes: &mut &[u8]) -> Result<Option<LogPosition>, TryGetError> {
    let is_some = bytes.try_get_u8()? == 1;
    let position = position(bytes)?;
    Ok(is_some.then_some(position))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_read_as_they_were_written_and_size_is_that_of_the_encoding() {
        let at = |index| LogPosition::new(3, index);
        let bounds = LogBounds {
            first: 2,
            last: Some(at(4)),
            purged: None,
            committed: Some(at(3)),
        };
        let items = [
            Item::Bounds(bounds),
            Item::Entry(at(5), Bytes::from_static(b"payload")),
            Item::Entry(at(6), Bytes::new()),
            Item::Truncate(None),
            Item::Truncate(Some(at(5))),
            Item::Purge(at(1)),
            Item::Committed(at(5)),
        ];
        let mut bytes = Vec::new();
        for item in &items {
            let start = bytes.len();
            item.encode(9, &mut bytes);
            assert_eq!(bytes.len() - start, item.size());
        }
        let mut rest = bytes.as_slice();
        for item in &items {
            assert_eq!(Item::parse(9, &mut rest).as_ref(), Some(item));
        }
        assert_eq!(rest, []);
        assert_eq!(Item::parse(9, &mut rest), None);
    }

    #[test]
    fn an_entry_of_another_log_or_with_a_flipped_bit_is_rejected() {
        let mut bytes = Vec::new();
        Item::Entry(LogPosition::new(1, 2), Bytes::from_static(b"x")).encode(9, &mut bytes);
        assert!(parse_entry(9, &mut bytes.as_slice()).is_some());
        assert!(parse_entry(8, &mut bytes.as_slice()).is_none());
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(parse_entry(9, &mut bytes.as_slice()).is_none(), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }
}
