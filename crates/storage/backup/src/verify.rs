//! Verifying a backup past any damage, on all cores, and salvaging what is valid.

use std::{
    fmt,
    io::{self, Read, Seek, SeekFrom, Write},
    num::NonZero,
    sync::mpsc,
    thread,
};

use quorate_packet::{PublicKey, SignedPacket};
use quorate_state::{ClusterState, StoredPacket};
use sha2::{Digest, Sha256};

use crate::{
    BackupError, BackupHeader, BackupWriter,
    chunk::{CONTENT_SIZE_MAX, Chunk, ChunkKind, MAGIC, MARKER, check_magic, read_chunk},
    reader::{parse_header, parse_packets, parse_state},
};

/// The most damage that is listed. The rest is counted.
const LISTED_DAMAGE_MAX: usize = 100;

/// How many bytes are searched at a time for the next chunk.
const SEARCH_SIZE: usize = 64 * 1024;

/// How many times the size of the file may be read in search of chunks after damage. Damage leads to a few false
/// chunks at most; a file with very many was made to keep this busy.
const SEARCHED_SIZE_FACTOR: u64 = 4;

/// How many chunks may wait for each core, so that reading and verifying overlap.
const CHUNKS_PER_CORE: usize = 2;

/// What a verification found.
#[derive(Debug, Default)]
pub struct Report {
    /// `None` if its chunk is damaged.
    pub header: Option<BackupHeader>,
    /// `None` if its chunk is damaged.
    pub state: Option<ClusterState>,
    /// How many packets are valid.
    pub valid_count: u64,
    /// The first damage.
    pub damage: Vec<BackupDamage>,
    pub damage_count: u64,
}

impl Report {
    pub fn is_valid(&self) -> bool {
        self.damage_count == 0
    }

    fn add(&mut self, damage: BackupDamage) {
        self.damage_count += 1;
        if self.damage.len() < LISTED_DAMAGE_MAX {
            self.damage.push(damage);
        }
    }
}

/// Damage in a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupDamage {
    /// The number of the chunk, if it is readable or expected.
    pub chunk: u32,
    /// Where the chunk starts in the file.
    pub offset: u64,
    /// The key of a packet in it, if only that is damaged.
    pub key: Option<PublicKey>,
    pub reason: String,
}

impl fmt::Display for BackupDamage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "chunk {} at byte {}", self.chunk, self.offset)?;
        if let Some(key) = &self.key {
            write!(f, ", the packet of key {key}")?;
        }
        write!(f, ": {}", self.reason)
    }
}

/// Checks every hash and every signature, on all cores, and continues after damage at the next chunk that can
/// be found. Calls `visit` for the valid packets in the order of the file, and with the number of bytes read so far.
///
/// Fails if the file is no backup, or cannot be read.
pub fn verify(
    mut bytes: impl Read + Seek,
    mut visit: impl FnMut(&Report, u64, Vec<StoredPacket>) -> io::Result<()>,
) -> Result<Report, BackupError> {
    let size = bytes.seek(SeekFrom::End(0))?;
    bytes.rewind()?;
    check_magic(&mut bytes)?;
    let mut scan = Scan {
        bytes,
        search_budget: size.saturating_mul(SEARCHED_SIZE_FACTOR) + CONTENT_SIZE_MAX as u64,
        last_key: None,
        offset: MAGIC.len() as u64,
        expected: 0,
        digest: Sha256::new(),
        packet_count: 0,
        has_ended: false,
        is_after_damage: false,
    };
    let mut report = Report::default();
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        let mut workers: Vec<_> = (0..cores)
            .map(|_| {
                let (work, chunks) = mpsc::sync_channel::<Work>(CHUNKS_PER_CORE);
                let (done, verified) = mpsc::channel();
                scope.spawn(move || {
                    for work in chunks {
                        if done.send(work.verify()).is_err() {
                            return;
                        }
                    }
                });
                (work, verified, 0_usize)
            })
            .collect();
        // Chunk after chunk to core after core, and the results in the same order.
        let (mut next, mut oldest, mut waiting) = (0, 0, 0);
        loop {
            let work = scan.next(&mut report)?;
            let is_end = work.is_none();
            if let Some(work) = work {
                let worker = &mut workers[next % cores];
                worker.0.send(work).map_err(io::Error::other)?;
                (next, waiting) = (next + 1, waiting + 1);
            }
            while waiting > 0 && (is_end || waiting >= cores * CHUNKS_PER_CORE) {
                let verified = workers[oldest % cores].1.recv().map_err(io::Error::other)?;
                (oldest, waiting) = (oldest + 1, waiting - 1);
                let (valid, damage): (Vec<StoredPacket>, Vec<BackupDamage>) = verified;
                report.valid_count += valid.len() as u64;
                damage.into_iter().for_each(|damage| report.add(damage));
                visit(&report, scan.offset, valid)?;
            }
            if is_end {
                return Ok(report);
            }
        }
    })
}

/// Packets whose signatures are to be verified.
struct Work {
    chunk: u32,
    offset: u64,
    packets: Vec<StoredPacket>,
}

impl Work {
    fn verify(self) -> (Vec<StoredPacket>, Vec<BackupDamage>) {
        let mut damage = Vec::new();
        let mut valid = self.packets;
        valid.retain(|stored| {
            let (key, payload) = (*stored.packet.key(), stored.packet.payload().clone());
            let parsed = SignedPacket::parse(key, payload);
            let is_valid = parsed.is_ok();
            damage.extend(parsed.err().map(|error| BackupDamage {
                chunk: self.chunk,
                offset: self.offset,
                key: Some(key),
                reason: error.to_string(),
            }));
            is_valid
        });
        (valid, damage)
    }
}

/// Reads chunks, and finds the next one after damage.
struct Scan<R> {
    bytes: R,
    offset: u64,
    /// The number of the next chunk.
    expected: u32,
    digest: Sha256,
    packet_count: u64,
    has_ended: bool,
    last_key: Option<PublicKey>,
    /// How many bytes may still be read in search of chunks.
    search_budget: u64,
    /// Whether damage was reported since the last readable chunk.
    is_after_damage: bool,
}

impl<R: Read + Seek> Scan<R> {
    /// The packets of the next chunk, or `None` at the end of the file. Puts everything else into `report`.
    fn next(&mut self, report: &mut Report) -> Result<Option<Work>, BackupError> {
        loop {
            let start = self.offset;
            match read_chunk(&mut self.bytes)? {
                Ok(chunk) => {
                    self.offset += chunk.size;
                    if let Some(work) = self.take(chunk, start, report) {
                        return Ok(Some(work));
                    }
                }
                Err(reason) => {
                    let read = self.bytes.stream_position()?.saturating_sub(start);
                    self.search_budget = self.search_budget.saturating_sub(read);
                    let is_end = self.search_budget == 0 || !self.search()?;
                    if is_end && self.has_ended && self.offset == start {
                        return Ok(None);
                    }
                    // What looks like a chunk within damage is part of it.
                    if !self.is_after_damage {
                        report.add(BackupDamage {
                            chunk: self.expected,
                            offset: start,
                            key: None,
                            reason,
                        });
                    }
                    self.is_after_damage = true;
                    if is_end {
                        return Ok(None);
                    }
                }
            }
        }
    }

    fn take(&mut self, chunk: Chunk, start: u64, report: &mut Report) -> Option<Work> {
        let (number, kind) = (chunk.number, chunk.kind);
        let damage = |key, reason: &str| BackupDamage {
            chunk: number,
            offset: start,
            key,
            reason: reason.to_owned(),
        };
        let lost = match self.is_after_damage {
            true => self.expected.saturating_add(1),
            false => self.expected,
        };
        if self.has_ended {
            report.add(damage(None, "it follows the end"));
        }
        let is_in_place = match kind {
            ChunkKind::Header => number == 0,
            ChunkKind::State => number == 1,
            ChunkKind::Packets | ChunkKind::End => number > 1,
        };
        if !is_in_place {
            report.add(damage(None, "it is in a wrong place"));
        }
        if number != lost {
            report.add(damage(None, &format!("chunk {lost} is expected before it")));
        }
        self.expected = number.saturating_add(1);
        self.is_after_damage = false;
        let hash_before = self.digest.clone().finalize();
        self.digest.update(chunk.hash);
        match kind {
            ChunkKind::Header => match parse_header(&chunk.content) {
                Ok(header) => report.header = Some(header),
                Err(reason) => report.add(damage(None, &reason)),
            },
            ChunkKind::State => match parse_state(&chunk.content) {
                Ok(state) => report.state = Some(state),
                Err(reason) => report.add(damage(None, &reason)),
            },
            ChunkKind::Packets => match parse_packets(&chunk.content) {
                Ok(packets) => {
                    self.packet_count += packets.len() as u64;
                    let keys = packets.iter().map(|stored| *stored.packet.key());
                    let is_ordered = self
                        .last_key
                        .into_iter()
                        .chain(keys)
                        .is_sorted_by(|a, b| a < b);
                    if !is_ordered {
                        report.add(damage(None, "its packets are out of order"));
                    }
                    self.last_key = packets.last().map(|stored| *stored.packet.key());
                    return Some(Work {
                        chunk: number,
                        offset: start,
                        packets,
                    });
                }
                Err(reason) => report.add(damage(None, reason)),
            },
            ChunkKind::End => {
                self.has_ended = true;
                let expected = [&self.packet_count.to_be_bytes()[..], &hash_before].concat();
                // After damage it differs for a known reason.
                if chunk.content != expected && report.is_valid() {
                    report.add(damage(
                        None,
                        "the number of packets or the hash of the file is wrong",
                    ));
                }
            }
        }
        None
    }

    /// Moves to the next marker after the current offset. Returns false, at the end of the file, if there is none.
    fn search(&mut self) -> io::Result<bool> {
        let mut at = self.offset + 1;
        let mut window = vec![0; SEARCH_SIZE];
        loop {
            self.bytes.seek(SeekFrom::Start(at))?;
            let size = read_up_to(&mut self.bytes, &mut window)?;
            let found = window[..size]
                .windows(MARKER.len())
                .position(|bytes| bytes == MARKER);
            if let Some(found) = found {
                self.offset = at + found as u64;
                self.bytes.seek(SeekFrom::Start(self.offset))?;
                return Ok(true);
            }
            if size < window.len() {
                self.offset = self.bytes.seek(SeekFrom::End(0))?;
                return Ok(false);
            }
            at += (size - MARKER.len() + 1) as u64;
        }
    }
}

/// Reads until the buffer is full or the file ends.
fn read_up_to(bytes: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut size = 0;
    while size < buffer.len() {
        match bytes.read(&mut buffer[size..])? {
            0 => break,
            read => size += read,
        }
    }
    Ok(size)
}

/// Writes a backup of everything in a damaged one that is valid. A lost state is empty, and a lost header states
/// nothing.
pub fn salvage(
    mut bytes: impl Read + Seek,
    out: impl Write,
    mut on_progress: impl FnMut(u64),
) -> Result<Report, BackupError> {
    let report = verify(&mut bytes, |_, offset, _| {
        on_progress(offset / 2);
        Ok(())
    })?;
    let size = bytes.stream_position()?;
    let header = report.header.clone().unwrap_or_default();
    let header = BackupHeader {
        packet_count: report.valid_count,
        packets_hash: String::new(),
        ..header
    };
    let state = report.state.clone().unwrap_or_default();
    let mut writer = BackupWriter::new(out, &header, &state)?;
    let mut last_key = None;
    bytes.seek(SeekFrom::Start(0))?;
    verify(&mut bytes, |_, offset, packets| {
        on_progress((size + offset) / 2);
        for stored in packets {
            let key = *stored.packet.key();
            // A damaged file may have a chunk twice.
            if last_key.is_none_or(|last| last < key) {
                writer.push(&stored)?;
                last_key = Some(key);
            }
        }
        Ok(())
    })?;
    writer.finish()?;
    Ok(report)
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
