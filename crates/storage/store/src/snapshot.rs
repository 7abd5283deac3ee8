//! Sending a snapshot.
//!
//! ```text
//! chunk   kind u8, body, SHA-256 of all bodies of kinds 3 and 1 so far (32 bytes)
//! kind 3  the first chunk. body: the cluster state; bytes after it are ignored
//! kind 1  body: packets, each key 32 bytes, size u16, encoding
//! kind 2  the last chunk. body: the number of packets u64
//! ```
//! Nodes of different versions send it to each other. So any addition needs a new feature level,
//! and is sent only in clusters with that level.

use std::sync::Arc;

use bytes::Bytes;
use quorate_state::StoredPacket;
use redb::ReadTransaction;
use sha2::{Digest, Sha256};

use crate::{
    Meta, StoreError,
    digest::{DIGEST_SIZE, PACKET_OVERHEAD, encode_packet},
    file::CheckpointFile,
    reader::PacketReader,
};

pub(crate) const KIND_PACKETS: u8 = 1;
pub(crate) const KIND_END: u8 = 2;
pub(crate) const KIND_CLUSTER: u8 = 3;

/// The size at which a chunk is complete, in bytes. Large enough that a round trip for each does
/// not matter, small enough to be kept in memory on both sides.
pub(crate) const CHUNK_SIZE: usize = 1024 * 1024;

/// The packets of a checkpoint. It pins the pages that it reads: drop it as soon as possible, or
/// the file grows.
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
        self.chunks_with(self.meta.cluster.encode())
    }

    /// The chunks with this encoded cluster state.
    fn chunks_with(&self, cluster: Vec<u8>) -> Result<SnapshotChunks, StoreError> {
        let (file, meta) = (self.file.clone(), self.meta.clone());
        Ok(SnapshotChunks {
            packets: PacketReader::new(file, &self.transaction, meta)?,
            cluster,
            digest: Sha256::new(),
            stage: Stage::Cluster,
        })
    }

    /// The packets, in the order of their keys.
    pub fn packets(&self) -> Result<SnapshotPackets, StoreError> {
        let (file, meta) = (self.file.clone(), self.meta.clone());
        PacketReader::new(file, &self.transaction, meta).map(SnapshotPackets)
    }

    /// SHA-256 over the cluster state, without its secrets, and all packets in key order.
    pub fn digest(&self) -> Result<[u8; DIGEST_SIZE], StoreError> {
        let mut chunks = self.chunks_with(self.meta.cluster.encode_public())?;
        while chunks.next_chunk()?.is_some() {}
        Ok(chunks.digest.finalize().into())
    }
}

/// The packets of a snapshot, in the order of their keys.
pub struct SnapshotPackets(PacketReader);

impl SnapshotPackets {
    /// About a megabyte of packets; none after the last one.
    ///
    /// Fails with [`StoreError::Damaged`] when a packet is damaged, or when packets are missing at
    /// the end.
    pub fn next_batch(&mut self) -> Result<Vec<StoredPacket>, StoreError> {
        let Self(reader) = self;
        let (mut batch, mut size, mut is_damaged) = (Vec::new(), 0, false);
        reader.read(|_, stored, stored_size| {
            size += stored_size;
            is_damaged = stored.is_none();
            batch.extend(stored);
            is_damaged || size >= CHUNK_SIZE
        })?;
        if is_damaged {
            return Err(reader.damaged_packet());
        }
        if batch.is_empty() {
            reader.finish()?;
        }
        Ok(batch)
    }
}

/// The chunks of a snapshot.
pub struct SnapshotChunks {
    packets: PacketReader,
    /// The encoded cluster state.
    cluster: Vec<u8>,
    /// Over the cluster state and the packets so far.
    digest: Sha256,
    stage: Stage,
}

/// What the next chunk contains.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Cluster,
    Packets,
    End,
}

impl SnapshotChunks {
    /// The next chunk, or `None` after the last one. Reads about a megabyte from the store.
    ///
    /// Fails with [`StoreError::Damaged`] when a packet is damaged, or when packets are missing at
    /// the end: then no node receives the complete snapshot.
    pub fn next_chunk(&mut self) -> Result<Option<Bytes>, StoreError> {
        let mut chunk = match self.stage {
            Stage::Cluster => self.first_chunk(),
            Stage::Packets => self.chunk_of_packets()?,
            Stage::End => return Ok(None),
        };
        chunk.extend_from_slice(&self.digest.clone().finalize());
        Ok(Some(chunk.into()))
    }

    fn first_chunk(&mut self) -> Vec<u8> {
        let cluster = std::mem::take(&mut self.cluster);
        self.digest.update(&cluster);
        self.stage = Stage::Packets;
        [&[KIND_CLUSTER], &cluster[..]].concat()
    }

    /// A chunk with the next packets, or the last chunk if there are none.
    fn chunk_of_packets(&mut self) -> Result<Vec<u8>, StoreError> {
        let mut chunk = vec![KIND_PACKETS];
        let mut is_damaged = false;
        self.packets.read(|key, stored, _| {
            match stored {
                Some(stored) => encode_packet(&mut chunk, key, &stored.encode()),
                None => is_damaged = true,
            }
            is_damaged || chunk.len() + PACKET_OVERHEAD >= CHUNK_SIZE
        })?;
        if is_damaged {
            return Err(self.packets.damaged_packet());
        }
        self.digest.update(&chunk[1..]);
        if chunk.len() > 1 {
            return Ok(chunk);
        }
        self.packets.finish()?;
        self.stage = Stage::End;
        let count = self.packets.meta.packets.usage.count.to_be_bytes();
        Ok([&[KIND_END], &count[..]].concat())
    }
}
