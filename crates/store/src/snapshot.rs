//! Snapshots as they are sent.
//!
//! ```text
//! chunk   kind u8, body, SHA-256 of all packets up to its end (32 bytes)
//! kind 1  body: packets, each key 32 bytes, size u16, value
//! kind 2  body: the number of packets u64; nothing follows
//! ```

use std::ops::Bound;

use bytes::Bytes;
use redb::{ReadOnlyTable, ReadTransaction, ReadableDatabase};

use crate::{
    Meta, StoreError,
    digest::{DIGEST_SIZE, PAIR_OVERHEAD, StreamDigest, encode_packet},
    schema::{Key, META, PACKETS},
};

pub(crate) const KIND_PACKETS: u8 = 1;
pub(crate) const KIND_END: u8 = 2;

/// The size at which a chunk is closed, in bytes. Large enough that a round trip each is no loss,
/// small enough to be held in memory on both sides without a thought.
pub(crate) const CHUNK_SIZE: usize = 1024 * 1024;

/// The packets at one moment. It pins the pages that it reads: hold it as long as needed and no
/// longer, or the file grows.
pub struct Snapshot {
    transaction: ReadTransaction,
    meta: Meta,
}

impl Snapshot {
    pub(crate) fn new(database: &impl ReadableDatabase) -> Result<Self, StoreError> {
        let transaction = database.begin_read()?;
        let meta = Meta::read(&transaction.open_table(META)?)?;
        Ok(Self { transaction, meta })
    }

    /// What the packets reflect.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// The chunks to send, in order.
    pub fn chunks(&self) -> Result<SnapshotChunks, StoreError> {
        Ok(SnapshotChunks {
            packets: self.transaction.open_table(PACKETS)?,
            packet_count: self.meta.packet_count,
            digest: StreamDigest::default(),
            position: Position::Start,
        })
    }

    /// SHA-256 over all packets in key order.
    pub fn digest(&self) -> Result<[u8; DIGEST_SIZE], StoreError> {
        let mut chunks = self.chunks()?;
        while chunks.next_chunk()?.is_some() {}
        Ok(chunks.digest.so_far())
    }
}

/// The chunks of a snapshot.
pub struct SnapshotChunks {
    packets: ReadOnlyTable<&'static Key, &'static [u8]>,
    packet_count: u64,
    digest: StreamDigest,
    position: Position,
}

enum Position {
    Start,
    Behind(Key),
    End,
}

impl SnapshotChunks {
    /// The next chunk, or `None` behind the last one. Reads about a megabyte from the store.
    pub fn next_chunk(&mut self) -> Result<Option<Bytes>, StoreError> {
        let start = match &self.position {
            Position::Start => Bound::Unbounded,
            Position::Behind(key) => Bound::Excluded(*key),
            Position::End => return Ok(None),
        };
        let mut chunk = vec![KIND_PACKETS];
        let mut last = None;
        for entry in self
            .packets
            .range::<&Key>((start.as_ref(), Bound::Unbounded))?
        {
            let (key, value) = entry?;
            encode_packet(&mut chunk, key.value(), value.value());
            last = Some(*key.value());
            if chunk.len() + PAIR_OVERHEAD >= CHUNK_SIZE {
                break;
            }
        }
        self.digest.update(&chunk[1..]);
        self.position = match last {
            Some(key) => Position::Behind(key),
            None => {
                chunk = vec![KIND_END];
                chunk.extend_from_slice(&self.packet_count.to_be_bytes());
                Position::End
            }
        };
        chunk.extend_from_slice(&self.digest.so_far());
        Ok(Some(chunk.into()))
    }
}
