//! Snapshots as they arrive.

use std::path::PathBuf;

use bytes::Bytes;
use quorate_packet::{PUBLIC_KEY_SIZE, PublicKey};
use quorate_state::StoredPacket;
use redb::{Database, Durability};

use crate::{
    Meta, StoreError,
    digest::{DIGEST_SIZE, StreamDigest},
    schema::{Key, META, PACKETS, RETENTION, retention_key},
    snapshot::{KIND_END, KIND_PACKETS},
    store::open_database,
};

/// Memory for the pages of a store that is being received, in bytes. It is written in key order, so
/// that few pages are in use at a time.
const CACHE_SIZE: usize = 32 * 1024 * 1024;

/// Builds a new file from the chunks of a snapshot, which must come in order.
pub struct SnapshotReceiver {
    path: PathBuf,
    database: Database,
    digest: StreamDigest,
    last_key: Option<Key>,
    packet_count: u64,
    complete: bool,
}

impl SnapshotReceiver {
    pub(crate) fn create(path: PathBuf) -> Result<Self, StoreError> {
        match std::fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => {
                return Err(StoreError::File {
                    action: "removed",
                    path,
                    source,
                });
            }
        }
        Ok(Self {
            database: open_database(&path, CACHE_SIZE)?,
            path,
            digest: StreamDigest::default(),
            last_key: None,
            packet_count: 0,
            complete: false,
        })
    }

    /// Takes the next chunk. After an error the receiver is of no use.
    pub fn push(&mut self, chunk: &Bytes) -> Result<(), StoreError> {
        if self.complete {
            return Err(StoreError::Snapshot("a chunk follows the end"));
        }
        let (body, expected) = chunk
            .split_last_chunk::<DIGEST_SIZE>()
            .ok_or(StoreError::Snapshot("a chunk is too short"))?;
        let (kind, body) = body
            .split_first()
            .ok_or(StoreError::Snapshot("a chunk is empty"))?;
        match *kind {
            KIND_PACKETS => {
                self.digest.update(body);
                self.check_digest(expected)?;
                self.insert(body)
            }
            KIND_END => {
                self.check_digest(expected)?;
                if body != self.packet_count.to_be_bytes() {
                    return Err(StoreError::Snapshot("the number of packets differs"));
                }
                self.complete = true;
                Ok(())
            }
            _ => Err(StoreError::Snapshot("a chunk has an unknown kind")),
        }
    }

    /// Ends the stream.
    pub fn complete(self) -> Result<ReceivedSnapshot, StoreError> {
        match self.complete {
            true => Ok(ReceivedSnapshot {
                path: self.path,
                database: self.database,
                packet_count: self.packet_count,
            }),
            false => Err(StoreError::Snapshot("it ended early")),
        }
    }

    fn check_digest(&self, expected: &[u8; DIGEST_SIZE]) -> Result<(), StoreError> {
        match self.digest.so_far() == *expected {
            true => Ok(()),
            false => Err(StoreError::Snapshot("the digest differs")),
        }
    }

    fn insert(&mut self, mut body: &[u8]) -> Result<(), StoreError> {
        let mut txn = self.database.begin_write()?;
        txn.set_durability(Durability::None)?;
        {
            let mut packets = txn.open_table(PACKETS)?;
            let mut retention = txn.open_table(RETENTION)?;
            while !body.is_empty() {
                let (key, value) = split_packet(&mut body)?;
                if self.last_key.is_some_and(|last| last >= key) {
                    return Err(StoreError::Snapshot("the packets are out of order"));
                }
                let stored = StoredPacket::decode(PublicKey::from_bytes(key), value)
                    .ok_or(StoreError::Snapshot("a packet is too short"))?;
                packets.insert(&key, value)?;
                retention.insert(&retention_key(stored.received, &key), ())?;
                self.last_key = Some(key);
                self.packet_count += 1;
            }
        }
        Ok(txn.commit()?)
    }
}

fn split_packet<'a>(body: &mut &'a [u8]) -> Result<(Key, &'a [u8]), StoreError> {
    const CUT_SHORT: StoreError = StoreError::Snapshot("a packet is cut short");
    let (key, rest) = body
        .split_first_chunk::<PUBLIC_KEY_SIZE>()
        .ok_or(CUT_SHORT)?;
    let (size, rest) = rest.split_first_chunk().ok_or(CUT_SHORT)?;
    let size = usize::from(u16::from_be_bytes(*size));
    let (value, rest) = rest.split_at_checked(size).ok_or(CUT_SHORT)?;
    *body = rest;
    Ok((*key, value))
}

/// A whole snapshot in a file of its own, to be installed.
pub struct ReceivedSnapshot {
    path: PathBuf,
    database: Database,
    packet_count: u64,
}

impl ReceivedSnapshot {
    /// Sets the meta, makes the file durable and closes it.
    pub(crate) fn finish(self, mut meta: Meta) -> Result<PathBuf, StoreError> {
        let mut txn = self.database.begin_write()?;
        txn.set_two_phase_commit(true);
        txn.set_quick_repair(true);
        meta.packet_count = self.packet_count;
        meta.write(&mut txn.open_table(META)?)?;
        txn.commit()?;
        drop(self.database);
        Ok(self.path)
    }
}
