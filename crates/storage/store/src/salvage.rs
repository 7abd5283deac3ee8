//! Packets in a damaged file that redb cannot read any more.
//!
//! redb's tree leads to a packet only over undamaged pages. So this reads the leaves themselves, wherever they
//! are in the file. A leaf (redb's design document, "Leaf page") is: type 1, a reserved byte, the number of pairs
//! (u16), the end of each value (u32, from the start of the page), the keys, the values; numbers are
//! little-endian. A page starts at a multiple of 4 KiB. The checksum of each packet covers its key too, so bytes
//! that are no packet are not taken for one.

use quorate_disk::{DiskFile, OpenMode};
use quorate_packet::{PUBLIC_KEY_SIZE, PublicKey};
use quorate_state::StoredPacket;

use crate::{
    Meta, StoreConfig, StoreError,
    file::{CheckpointFile, file_error},
    schema::{Key, verified_encoding},
};

/// The alignment of pages, in bytes.
const PAGE_ALIGNMENT: usize = 4096;

/// The largest leaf that is read, in bytes. redb makes a page of more than 4 KiB only for a pair that
/// needs it, and no packet does.
const LEAF_SIZE_MAX: usize = 16 * PAGE_ALIGNMENT;

/// How many bytes are read at a time.
const PIECE_SIZE: usize = 1024 * 1024;

const LEAF: u8 = 1;
const LEAF_HEADER_SIZE: usize = 4;
const VALUE_END_SIZE: usize = 4;

/// Calls `visit` for each packet with a right checksum anywhere in the file of a store, also for earlier and
/// removed ones in pages that are free. Returns the meta of the last checkpoint if that is readable.
///
/// Fails only when the file cannot be opened. Nothing is written.
pub fn salvage(
    config: &StoreConfig,
    mut visit: impl FnMut(StoredPacket),
) -> Result<Option<Meta>, StoreError> {
    let path = &config.path;
    let file = config.disk.open(path, OpenMode::Read);
    let file = file.map_err(file_error("opened", path))?;
    let size = file.size().map_err(file_error("read", path))?;
    let mut offset = 0;
    while offset < size {
        // Each piece overlaps the next one by the largest leaf.
        let piece = read_piece(&*file, offset, size);
        for start in (0..piece.len().min(PIECE_SIZE)).step_by(PAGE_ALIGNMENT) {
            let end = piece.len().min(start + LEAF_SIZE_MAX);
            packets_of_leaf(&piece[start..end]).for_each(&mut visit);
        }
        offset += PIECE_SIZE as u64;
    }
    Ok(read_meta(config))
}

/// The meta of the last checkpoint, if redb can still read it.
fn read_meta(config: &StoreConfig) -> Option<Meta> {
    let (_, meta) = CheckpointFile::open_read_only(config)
        .ok()?
        .begin_read()
        .ok()?;
    Some(meta)
}

/// The bytes at `offset`; zeros where the disk cannot read them.
fn read_piece(file: &dyn DiskFile, offset: u64, size: u64) -> Vec<u8> {
    let wanted = (PIECE_SIZE + LEAF_SIZE_MAX) as u64;
    let mut piece = vec![0; wanted.min(size - offset) as usize];
    if file.read_at(&mut piece, offset).is_err() {
        for (page, at) in piece
            .chunks_mut(PAGE_ALIGNMENT)
            .zip((offset..).step_by(PAGE_ALIGNMENT))
        {
            if file.read_at(page, at).is_err() {
                page.fill(0);
            }
        }
    }
    piece
}

/// The undamaged packets of the leaf that starts at the first of these bytes, if there is one.
fn packets_of_leaf(bytes: &[u8]) -> impl Iterator<Item = StoredPacket> {
    let count = match bytes.first_chunk() {
        Some([LEAF, _, low, high]) => usize::from(u16::from_le_bytes([*low, *high])),
        _ => 0,
    };
    let keys = LEAF_HEADER_SIZE + count * VALUE_END_SIZE;
    let values = keys + count * PUBLIC_KEY_SIZE;
    let value_end = move |pair: usize| {
        let at = LEAF_HEADER_SIZE + pair * VALUE_END_SIZE;
        let end = bytes.get(at..)?.first_chunk()?;
        usize::try_from(u32::from_le_bytes(*end)).ok()
    };
    (0..count).filter_map(move |pair| {
        let key: &Key = bytes.get(keys + pair * PUBLIC_KEY_SIZE..)?.first_chunk()?;
        let start = match pair.checked_sub(1) {
            Some(before) => value_end(before)?,
            None => values,
        };
        let encoded = verified_encoding(key, bytes.get(start..value_end(pair)?)?)?;
        StoredPacket::decode(PublicKey::from_bytes(*key), encoded)
    })
}

#[cfg(test)]
#[path = "salvage_tests.rs"]
mod tests;
