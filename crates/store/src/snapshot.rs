//! Snapshots as they are sent.
//!
//! ```text
//! chunk   kind u8, body, SHA-256 of all packets up to its end (32 bytes)
//! kind 1  body: packets, each key 32 bytes, size u16, encoding
//! kind 2  body: the number of packets u64; nothing follows
//! ```

use std::{ops::Bound, sync::Arc};

use bytes::Bytes;
use redb::{ReadOnlyTable, ReadTransaction};

use crate::{
    Meta, StoreError,
    digest::{DIGEST_SIZE, PAIR_OVERHEAD, StreamDigest, encode_packet},
    file::CheckpointFile,
    inspection::Inspection,
    schema::{Key, PACKETS},
};

pub(crate) const KIND_PACKETS: u8 = 1;
pub(crate) const KIND_END: u8 = 2;

/// The size at which a chunk is closed, in bytes. Large enough that a round trip each is no loss,
/// small enough to be held in memory on both sides without a thought.
pub(crate) const CHUNK_SIZE: usize = 1024 * 1024;

/// The packets of a checkpoint. It pins the pages that it reads: hold it as long as needed and no
/// longer, or the file grows.
pub struct Snapshot {
    transaction: ReadTransaction,
    file: Arc<CheckpointFile>,
    meta: Meta,
}

impl Snapshot {
    pub(crate) fn new(file: Arc<CheckpointFile>) -> Result<Self, StoreError> {
        let (transaction, meta) = file.begin_read()?;
        Ok(Self {
            transaction,
            file,
            meta,
        })
    }

    /// What the packets reflect.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// The chunks to send, in order.
    pub fn chunks(&self) -> Result<SnapshotChunks, StoreError> {
        let open = || Ok(self.transaction.open_table(PACKETS)?);
        Ok(SnapshotChunks {
            packets: self.file.reading(open)?,
            inspection: Inspection::new(self.file.path().to_owned()),
            file: self.file.clone(),
            meta: self.meta.clone(),
            digest: StreamDigest::default(),
            is_ended: false,
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
    file: Arc<CheckpointFile>,
    meta: Meta,
    inspection: Inspection,
    digest: StreamDigest,
    is_ended: bool,
}

impl SnapshotChunks {
    /// The next chunk, or `None` behind the last one. Reads about a megabyte from the store.
    ///
    /// A damaged packet is [`StoreError::Damaged`], and so is a snapshot that lacks one when it
    /// ends: nobody receives the whole of it.
    pub fn next_chunk(&mut self) -> Result<Option<Bytes>, StoreError> {
        if self.is_ended {
            return Ok(None);
        }
        let mut chunk = vec![KIND_PACKETS];
        let (packets, inspection) = (&self.packets, &mut self.inspection);
        self.file
            .reading(|| fill_chunk(packets, inspection, &mut chunk))?;
        self.digest.update(&chunk[1..]);
        if chunk.len() == 1 {
            self.inspection.end(&self.meta)?;
            chunk = vec![KIND_END];
            chunk.extend_from_slice(&self.meta.packet_count.to_be_bytes());
            self.is_ended = true;
        }
        chunk.extend_from_slice(&self.digest.so_far());
        Ok(Some(chunk.into()))
    }
}

fn fill_chunk(
    packets: &ReadOnlyTable<&'static Key, &'static [u8]>,
    inspection: &mut Inspection,
    chunk: &mut Vec<u8>,
) -> Result<(), StoreError> {
    let start = inspection.last_key().copied();
    let start = start.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
    for entry in packets.range::<&Key>((start, Bound::Unbounded))? {
        let (key, value) = entry?;
        let Some(stored) = inspection.check(key.value(), value.value())? else {
            return Err(inspection.damage("a packet fails its checksum").into());
        };
        encode_packet(chunk, key.value(), &stored.encode());
        if chunk.len() + PAIR_OVERHEAD >= CHUNK_SIZE {
            break;
        }
    }
    Ok(())
}
