//! Writing a backup.

use std::io::{self, Write};

use bytes::BufMut;
use quorate_packet::PUBLIC_KEY_SIZE;
use quorate_state::{ClusterState, StoredPacket};
use sha2::{Digest, Sha256};

use crate::{
    BackupHeader,
    chunk::{ChunkKind, MAGIC, write_chunk},
};

/// The size at which a chunk of packets is complete, in bytes before compression.
const CHUNK_SIZE: usize = match cfg!(test) {
    // So that a few packets are several chunks.
    true => 8 * 1024,
    false => 1024 * 1024,
};

/// Writes a backup. The packets must come in the order of their keys.
pub struct BackupWriter<W> {
    out: W,
    number: u32,
    /// Over the hashes of all chunks so far.
    digest: Sha256,
    content: Vec<u8>,
    written: Written,
}

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    pub packet_count: u64,
}

impl<W: Write> BackupWriter<W> {
    /// Starts a backup with this header and state. Secrets in the state are left out.
    pub fn new(mut out: W, header: &BackupHeader, state: &ClusterState) -> io::Result<Self> {
        out.write_all(&MAGIC)?;
        let mut writer = Self {
            out,
            number: 0,
            digest: Sha256::new(),
            content: Vec::with_capacity(CHUNK_SIZE),
            written: Written::default(),
        };
        writer.write(ChunkKind::Header, &serde_json::to_vec(header)?)?;
        writer.write(ChunkKind::State, &state.without_secrets().encode())?;
        Ok(writer)
    }

    /// Adds the next packet.
    pub fn push(&mut self, stored: &StoredPacket) -> io::Result<()> {
        let payload = stored.packet.payload();
        if self.content.len() + PUBLIC_KEY_SIZE + 10 + payload.len() > CHUNK_SIZE {
            self.write_packets()?;
        }
        self.content.put_slice(stored.packet.key().as_bytes());
        self.content.put_u64(stored.received.0);
        self.content
            .put_u16(u16::try_from(payload.len()).map_err(io::Error::other)?);
        self.content.put_slice(payload);
        self.written.packet_count += 1;
        Ok(())
    }

    /// Writes the end, and flushes.
    pub fn finish(mut self) -> io::Result<(W, Written)> {
        if !self.content.is_empty() {
            self.write_packets()?;
        }
        let mut end = self.written.packet_count.to_be_bytes().to_vec();
        end.extend(self.digest.clone().finalize());
        self.write(ChunkKind::End, &end)?;
        self.out.flush()?;
        Ok((self.out, self.written))
    }

    fn write_packets(&mut self) -> io::Result<()> {
        let content = std::mem::take(&mut self.content);
        self.write(ChunkKind::Packets, &content)?;
        self.content = content;
        self.content.clear();
        Ok(())
    }

    fn write(&mut self, kind: ChunkKind, content: &[u8]) -> io::Result<()> {
        let hash = write_chunk(&mut self.out, kind, self.number, content)?;
        self.digest.update(hash);
        self.number += 1;
        Ok(())
    }
}
