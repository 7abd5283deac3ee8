//! Reading a backup that must be undamaged.

use std::io::{self, Read};

use quorate_packet::{PUBLIC_KEY_SIZE, PublicKey, SignedPacket};
use quorate_state::{ClusterState, StoredPacket, UnixMillis};
use sha2::{Digest, Sha256};

use crate::{
    BackupError, BackupHeader,
    chunk::{Chunk, ChunkKind, MAGIC, check_magic, read_chunk},
};

/// Reads a backup: the header and the state first, then the packets as an iterator, in the order of their keys.
///
/// It stops at any damage. All hashes are checked, and no signature: see [`verify`](crate::verify).
pub struct BackupReader<R> {
    pub header: BackupHeader,
    pub state: ClusterState,
    chunks: Chunks<R>,
    packets: std::vec::IntoIter<StoredPacket>,
    last_key: Option<PublicKey>,
    count: u64,
    is_done: bool,
}

impl<R: Read> BackupReader<R> {
    /// Reads the header and the state.
    pub fn open(bytes: R) -> Result<Self, BackupError> {
        let mut chunks = Chunks::open(bytes)?;
        let header = chunks.expect(ChunkKind::Header)?;
        let header = parse_header(&header.content).map_err(|reason| chunks.damage(reason))?;
        let state = chunks.expect(ChunkKind::State)?;
        let state = parse_state(&state.content).map_err(|reason| chunks.damage(reason))?;
        Ok(Self {
            header,
            state,
            chunks,
            packets: Vec::new().into_iter(),
            last_key: None,
            count: 0,
            is_done: false,
        })
    }

    /// Reads the next chunk of packets. `None` after the last one.
    fn next_chunk(&mut self) -> Result<Option<Vec<StoredPacket>>, BackupError> {
        let hash_before = self.chunks.digest.clone().finalize();
        let chunk = self.chunks.next()?;
        let damage = |reason: &str| self.chunks.damage(reason.to_owned());
        match chunk.kind {
            ChunkKind::Packets => {
                let packets = parse_packets(&chunk.content).map_err(damage)?;
                for stored in &packets {
                    let key = *stored.packet.key();
                    if self.last_key.is_some_and(|last| last >= key) {
                        return Err(damage("its packets are out of order"));
                    }
                    self.last_key = Some(key);
                }
                self.count += packets.len() as u64;
                Ok(Some(packets))
            }
            ChunkKind::End => {
                let expected = [&self.count.to_be_bytes()[..], &hash_before].concat();
                if chunk.content != expected {
                    let reason = "the number of packets or the hash of the file is wrong";
                    return Err(damage(reason));
                }
                match self.chunks.has_more()? {
                    true => Err(self.chunks.damage("bytes follow the end".to_owned())),
                    false => Ok(None),
                }
            }
            ChunkKind::Header | ChunkKind::State => Err(damage("it is in a wrong place")),
        }
    }
}

impl<R: Read> Iterator for BackupReader<R> {
    type Item = Result<StoredPacket, BackupError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(stored) = self.packets.next() {
                return Some(Ok(stored));
            }
            if self.is_done {
                return None;
            }
            match self.next_chunk() {
                Ok(Some(packets)) => self.packets = packets.into_iter(),
                Ok(None) => self.is_done = true,
                Err(error) => {
                    self.is_done = true;
                    return Some(Err(error));
                }
            }
        }
    }
}

/// The chunks of a file, in order.
struct Chunks<R> {
    bytes: R,
    /// Where the last chunk that was read starts.
    offset: u64,
    /// Where the next chunk starts.
    next_offset: u64,
    /// The number of the next chunk.
    next_number: u32,
    /// Over the hashes of all chunks so far.
    digest: Sha256,
}

impl<R: Read> Chunks<R> {
    fn open(mut bytes: R) -> Result<Self, BackupError> {
        check_magic(&mut bytes)?;
        Ok(Self {
            bytes,
            offset: MAGIC.len() as u64,
            next_offset: MAGIC.len() as u64,
            next_number: 0,
            digest: Sha256::new(),
        })
    }

    fn next(&mut self) -> Result<Chunk, BackupError> {
        self.offset = self.next_offset;
        let number = self.next_number;
        self.next_number += 1;
        let chunk = read_chunk(&mut self.bytes)?.map_err(|reason| self.damage(reason))?;
        if chunk.number != number {
            return Err(self.damage(format!("chunk {} is in its place", chunk.number)));
        }
        self.digest.update(chunk.hash);
        self.next_offset += chunk.size;
        Ok(chunk)
    }

    fn has_more(&mut self) -> io::Result<bool> {
        Ok(self.bytes.by_ref().take(1).read_to_end(&mut Vec::new())? > 0)
    }

    fn expect(&mut self, kind: ChunkKind) -> Result<Chunk, BackupError> {
        let chunk = self.next()?;
        match chunk.kind == kind {
            true => Ok(chunk),
            false => Err(self.damage("it has a wrong kind".to_owned())),
        }
    }

    fn damage(&self, reason: String) -> BackupError {
        BackupError::Damaged {
            number: self.next_number.saturating_sub(1),
            offset: self.offset,
            reason,
        }
    }
}

pub(crate) fn parse_header(content: &[u8]) -> Result<BackupHeader, String> {
    serde_json::from_slice(content).map_err(|error| format!("the header cannot be read: {error}"))
}

pub(crate) fn parse_state(content: &[u8]) -> Result<ClusterState, String> {
    match ClusterState::decode(content) {
        Ok((state, _)) => Ok(state),
        Err(error) => Err(format!("the state cannot be read: {error}")),
    }
}

pub(crate) fn parse_packets(mut content: &[u8]) -> Result<Vec<StoredPacket>, &'static str> {
    const CUT: &str = "a packet is cut off";
    let mut packets = Vec::new();
    while !content.is_empty() {
        let (key, rest) = content.split_first_chunk::<PUBLIC_KEY_SIZE>().ok_or(CUT)?;
        let (received, rest) = rest.split_first_chunk().ok_or(CUT)?;
        let (size, rest) = rest.split_first_chunk().ok_or(CUT)?;
        let size = usize::from(u16::from_be_bytes(*size));
        let (payload, rest) = rest.split_at_checked(size).ok_or(CUT)?;
        let payload = bytes::Bytes::copy_from_slice(payload);
        let packet = SignedPacket::assume_verified(PublicKey::from_bytes(*key), payload);
        packets.push(StoredPacket {
            received: UnixMillis(u64::from_be_bytes(*received)),
            packet: packet.ok_or("a packet has an impossible size")?,
        });
        content = rest;
    }
    Ok(packets)
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
