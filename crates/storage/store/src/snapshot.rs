//! Snapshots as they are sent.
//!
//! ```text
//! chunk   kind u8, body, SHA-256 of the bodies of kinds 3 and 1 up to its end (32 bytes)
//! kind 3  the first one. body: what the cluster has agreed on; what follows that is skipped
//! kind 1  body: packets, each key 32 bytes, size u16, encoding
//! kind 2  body: the number of packets u64; nothing follows
//! ```
//! Nodes of different versions send it to each other: what is added to it comes with a new feature
//! level, and only to clusters that are at that.

use std::sync::Arc;

use bytes::Bytes;
use redb::ReadTransaction;
use sha2::{Digest, Sha256};

use crate::{
    Meta, StoreError,
    digest::{DIGEST_SIZE, PAIR_OVERHEAD, encode_packet},
    file::CheckpointFile,
    reader::PacketReader,
};

pub(crate) const KIND_PACKETS: u8 = 1;
pub(crate) const KIND_END: u8 = 2;
pub(crate) const KIND_AGREED: u8 = 3;

/// The size at which a chunk is closed, in bytes. Large enough that a round trip each is no loss,
/// small enough to be held in memory on both sides without a thought.
pub(crate) const CHUNK_SIZE: usize = 1024 * 1024;

/// The packets of a checkpoint. It pins the pages that it reads: hold it as long as needed and no
/// longer, or the file grows.
pub struct Snapshot {
    transaction: ReadTransaction,
    pub(crate) file: Arc<CheckpointFile>,
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

    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// The chunks to send, in order.
    pub fn chunks(&self) -> Result<SnapshotChunks, StoreError> {
        self.chunks_behind(self.meta.cluster.encode())
    }

    /// Chunks that begin with what the cluster has agreed on, encoded.
    fn chunks_behind(&self, agreed: Vec<u8>) -> Result<SnapshotChunks, StoreError> {
        let (file, meta) = (self.file.clone(), self.meta.clone());
        Ok(SnapshotChunks {
            packets: PacketReader::new(file, &self.transaction, meta)?,
            agreed,
            digest: Sha256::new(),
            progress: Progress::Start,
        })
    }

    /// SHA-256 over what the cluster has agreed on, without its secrets, and all packets in key order.
    pub fn digest(&self) -> Result<[u8; DIGEST_SIZE], StoreError> {
        let mut chunks = self.chunks_behind(self.meta.cluster.encode_public())?;
        while chunks.next_chunk()?.is_some() {}
        Ok(chunks.digest.finalize().into())
    }
}

/// The chunks of a snapshot.
pub struct SnapshotChunks {
    packets: PacketReader,
    agreed: Vec<u8>,
    /// Over what the cluster has agreed on and the packets, so far.
    digest: Sha256,
    progress: Progress,
}

/// How far a snapshot is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    Start,
    Packets,
    End,
}

impl SnapshotChunks {
    /// The next chunk, or `None` behind the last one. Reads about a megabyte from the store.
    ///
    /// A damaged packet is [`StoreError::Damaged`], and so is a snapshot that lacks one when it
    /// ends: nobody receives the whole of it.
    pub fn next_chunk(&mut self) -> Result<Option<Bytes>, StoreError> {
        let mut chunk = match self.progress {
            Progress::Start => self.first_chunk(),
            Progress::Packets => self.chunk_of_packets()?,
            Progress::End => return Ok(None),
        };
        chunk.extend_from_slice(&self.digest.clone().finalize());
        Ok(Some(chunk.into()))
    }

    fn first_chunk(&mut self) -> Vec<u8> {
        let agreed = std::mem::take(&mut self.agreed);
        self.digest.update(&agreed);
        self.progress = Progress::Packets;
        [&[KIND_AGREED], &agreed[..]].concat()
    }

    /// The next packets, or the end.
    fn chunk_of_packets(&mut self) -> Result<Vec<u8>, StoreError> {
        let mut chunk = vec![KIND_PACKETS];
        let mut is_damaged = false;
        self.packets.read(|key, stored, _| {
            match stored {
                Some(stored) => encode_packet(&mut chunk, key, &stored.encode()),
                None => is_damaged = true,
            }
            is_damaged || chunk.len() + PAIR_OVERHEAD >= CHUNK_SIZE
        })?;
        if is_damaged {
            let reason = "a packet fails its checksum";
            return Err(self.packets.inspection.damage(reason).into());
        }
        self.digest.update(&chunk[1..]);
        if chunk.len() > 1 {
            return Ok(chunk);
        }
        self.packets.end()?;
        self.progress = Progress::End;
        let count = self.packets.meta.packets.usage.count.to_be_bytes();
        Ok([&[KIND_END], &count[..]].concat())
    }
}
