//! Receiving a snapshot.

use bytes::Bytes;
use quorate_packet::{PUBLIC_KEY_SIZE, PublicKey};
use quorate_state::{ClusterState, StoredPacket};
use sha2::{Digest, Sha256};

use crate::{
    Meta, PacketsSummary, StoreConfig, StoreError,
    checkpoint::meta_growth,
    digest::DIGEST_SIZE,
    file::{CheckpointFile, Contents},
    schema::Key,
    snapshot::{KIND_CLUSTER, KIND_END, KIND_PACKETS},
};

/// By how many bytes the last commit to a complete file may grow it, without its list of free
/// pages.
const LAST_GROWTH: u64 = 1024 * 1024;

/// How many bytes of a file need one byte in redb's list of free pages, at least.
const BYTES_PER_LIST_BYTE: u64 = 4096;

/// Builds a new file from the chunks of a snapshot, which must arrive in order. Dropping it removes
/// the file, which blocks the thread.
pub struct SnapshotReceiver {
    config: StoreConfig,
    file: CheckpointFile,
    /// The digest of all chunks so far.
    digest: Sha256,
    last_key: Option<Key>,
    summary: PacketsSummary,
    /// Set by the first chunk.
    cluster: Option<ClusterState>,
    complete: bool,
}

impl SnapshotReceiver {
    pub(crate) fn create(config: &StoreConfig) -> Result<Self, StoreError> {
        Ok(Self {
            config: config.clone(),
            file: CheckpointFile::create(config, "incoming")?,
            digest: Sha256::new(),
            last_key: None,
            summary: PacketsSummary::default(),
            cluster: None,
            complete: false,
        })
    }

    /// Adds the next chunk. After an error the receiver cannot be used any more, and uses no space.
    pub fn push(&mut self, chunk: &Bytes) -> Result<(), StoreError> {
        let added = self.add(chunk);
        added.inspect_err(|_| self.file.discard())
    }

    fn add(&mut self, chunk: &Bytes) -> Result<(), StoreError> {
        if self.complete {
            return Err(StoreError::Snapshot("there is a chunk after the last one"));
        }
        let (body, expected) = chunk
            .split_last_chunk::<DIGEST_SIZE>()
            .ok_or(StoreError::Snapshot("a chunk is too short"))?;
        let (kind, body) = body
            .split_first()
            .ok_or(StoreError::Snapshot("a chunk is empty"))?;
        if (*kind == KIND_CLUSTER) != self.cluster.is_none() {
            return Err(StoreError::Snapshot(
                "the cluster state must be the first chunk, and only that",
            ));
        }
        match *kind {
            KIND_CLUSTER => {
                self.digest.update(body);
                self.check_digest(expected)?;
                // Bytes after the cluster state belong to a feature level that this program does
                // not know. The cluster state contains that level.
                let reason = "the cluster state cannot be read";
                let decoded = ClusterState::decode(body);
                let (cluster, _) = decoded.map_err(|_| StoreError::Snapshot(reason))?;
                self.cluster = Some(cluster);
                Ok(())
            }
            KIND_PACKETS => {
                self.digest.update(body);
                self.check_digest(expected)?;
                self.insert(body)
            }
            KIND_END => {
                self.check_digest(expected)?;
                if body != self.summary.usage.count.to_be_bytes() {
                    return Err(StoreError::Snapshot("the number of packets differs"));
                }
                self.complete = true;
                Ok(())
            }
            _ => Err(StoreError::Snapshot("a chunk has an unknown kind")),
        }
    }

    /// Completes the snapshot and reserves the space to install it. Fails when chunks are missing.
    pub fn complete(mut self) -> Result<ReceivedSnapshot, StoreError> {
        let ended = match (self.complete, self.cluster.take()) {
            (true, Some(cluster)) => self.make_durable(&cluster).map(|()| cluster),
            _ => Err(StoreError::Snapshot("it ended before its last chunk")),
        };
        let cluster = ended.inspect_err(|_| self.file.discard())?;
        Ok(ReceivedSnapshot {
            file: self.file,
            summary: self.summary,
            cluster,
        })
    }

    fn make_durable(&self, cluster: &ClusterState) -> Result<(), StoreError> {
        let meta = Meta {
            cluster: cluster.clone(),
            packets: self.summary,
            ..Meta::default()
        };
        self.file.commit([], &meta)?;
        let growth = LAST_GROWTH + meta_growth(&meta) + self.file.size() / BYTES_PER_LIST_BYTE;
        self.file.reserve_space(&self.config.disk, growth)
    }

    fn check_digest(&self, expected: &[u8; DIGEST_SIZE]) -> Result<(), StoreError> {
        match self.digest.clone().finalize().as_slice() == expected {
            true => Ok(()),
            false => Err(StoreError::Snapshot("the digest differs")),
        }
    }

    fn insert(&mut self, mut body: &[u8]) -> Result<(), StoreError> {
        let mut packets = Vec::new();
        while !body.is_empty() {
            let (key, encoded) = split_packet(&mut body)?;
            if self.last_key.is_some_and(|last| last >= key) {
                return Err(StoreError::Snapshot("the packets are out of order"));
            }
            let stored = StoredPacket::decode(PublicKey::from_bytes(key), encoded)
                .ok_or(StoreError::Snapshot("a packet has an invalid size"))?;
            self.summary.insert(&stored);
            self.last_key = Some(key);
            packets.push((key, encoded));
        }
        self.file.store(packets)
    }
}

fn split_packet<'a>(body: &mut &'a [u8]) -> Result<(Key, &'a [u8]), StoreError> {
    const TRUNCATED: StoreError = StoreError::Snapshot("a packet is truncated");
    let (key, rest) = body
        .split_first_chunk::<PUBLIC_KEY_SIZE>()
        .ok_or(TRUNCATED)?;
    let (size, rest) = rest.split_first_chunk().ok_or(TRUNCATED)?;
    let size = usize::from(u16::from_be_bytes(*size));
    let (encoded, rest) = rest.split_at_checked(size).ok_or(TRUNCATED)?;
    *body = rest;
    Ok((*key, encoded))
}

/// A complete snapshot in its own file, ready to be installed. Dropping it removes the file.
pub struct ReceivedSnapshot {
    file: CheckpointFile,
    summary: PacketsSummary,
    cluster: ClusterState,
}

impl ReceivedSnapshot {
    /// The cluster state. A program that does not support its feature level must not install the
    /// snapshot.
    pub fn cluster(&self) -> &ClusterState {
        &self.cluster
    }

    /// Sets the meta, makes the file durable, and reads and verifies it.
    pub(crate) fn finish(self, meta: Meta) -> Result<(CheckpointFile, Contents), StoreError> {
        let meta = Meta {
            cluster: self.cluster,
            packets: self.summary,
            ..meta
        };
        self.file.commit([], &meta)?;
        self.file.reservation.release();
        let contents = self.file.load()?;
        Ok((self.file, contents))
    }
}
