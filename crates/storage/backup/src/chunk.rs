//! Chunks: the parts of a file, each with its own hash.

use std::io::{self, Read, Write};

use bytes::{Buf, BufMut};
use sha2::{Digest, Sha256};

use crate::BackupError;

/// The beginning of a file. Its last byte is the version.
pub(crate) const MAGIC: [u8; 8] = *b"qbackup1";

/// The beginning of a chunk.
pub(crate) const MARKER: [u8; 4] = *b"QbCk";

pub(crate) const HASH_SIZE: usize = 32;

/// The size of a chunk without its data, in bytes.
pub(crate) const CHUNK_HEADER_SIZE: usize = MARKER.len() + FIELDS_SIZE + HASH_SIZE;

const FIELDS_SIZE: usize = 1 + 3 * 4;

/// The largest content of a chunk, in bytes. The state is the largest: see `PUBLISHING_SIZE_MAX` and
/// `ZONES_SIZE_MAX` in `quorate_state`.
pub(crate) const CONTENT_SIZE_MAX: usize = 8 * 1024 * 1024;

/// The largest data of a chunk, in bytes: zstd makes incompressible content a little larger.
const DATA_SIZE_MAX: usize = CONTENT_SIZE_MAX + CONTENT_SIZE_MAX / 64;

/// Signatures cannot be compressed, so a higher level costs time and saves little.
const ZSTD_LEVEL: i32 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum ChunkKind {
    Header = 1,
    State = 2,
    Packets = 3,
    End = 4,
}

impl ChunkKind {
    fn parse(kind: u8) -> Option<Self> {
        let all = [Self::Header, Self::State, Self::Packets, Self::End];
        all.into_iter().find(|known| *known as u8 == kind)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chunk {
    pub(crate) kind: ChunkKind,
    pub(crate) number: u32,
    pub(crate) content: Vec<u8>,
    pub(crate) hash: [u8; HASH_SIZE],
    /// The size in the file, in bytes.
    pub(crate) size: u64,
}

/// Writes a chunk, and returns its hash.
pub(crate) fn write_chunk(
    out: &mut impl Write,
    kind: ChunkKind,
    number: u32,
    content: &[u8],
) -> io::Result<[u8; HASH_SIZE]> {
    let data = zstd::bulk::compress(content, ZSTD_LEVEL)?;
    let mut fields = Vec::with_capacity(FIELDS_SIZE);
    fields.put_u8(kind as u8);
    fields.put_u32(number);
    fields.put_u32(u32::try_from(content.len()).map_err(io::Error::other)?);
    fields.put_u32(u32::try_from(data.len()).map_err(io::Error::other)?);
    let hash = hash(&fields, &data);
    for part in [&MARKER[..], &fields, &hash, &data] {
        out.write_all(part)?;
    }
    Ok(hash)
}

/// Reads the chunk at the start of `bytes`. The error says what is wrong with it.
pub(crate) fn read_chunk(bytes: &mut impl Read) -> io::Result<Result<Chunk, String>> {
    let mut header = [0; CHUNK_HEADER_SIZE];
    if let Err(reason) = fill(bytes, &mut header)? {
        return Ok(Err(reason));
    }
    let Some(parsed) = ChunkHeader::parse(&header) else {
        return Ok(Err("its header is not valid".to_owned()));
    };
    let mut data = Vec::new();
    bytes.take(parsed.data_size as u64).read_to_end(&mut data)?;
    Ok(parsed.open(&data))
}

/// Fills `buffer`, or says that the file ends.
fn fill(bytes: &mut impl Read, buffer: &mut [u8]) -> io::Result<Result<(), String>> {
    match bytes.read_exact(buffer) {
        Ok(()) => Ok(Ok(())),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Ok(Err("the file ends before it".to_owned()))
        }
        Err(error) => Err(error),
    }
}

struct ChunkHeader {
    kind: ChunkKind,
    number: u32,
    content_size: usize,
    data_size: usize,
    fields: [u8; FIELDS_SIZE],
    hash: [u8; HASH_SIZE],
}

impl ChunkHeader {
    fn parse(bytes: &[u8; CHUNK_HEADER_SIZE]) -> Option<Self> {
        let rest = bytes.strip_prefix(&MARKER)?;
        let (fields, hash) = rest.split_first_chunk()?;
        let mut reader = &fields[..];
        let header = Self {
            kind: ChunkKind::parse(reader.get_u8())?,
            number: reader.get_u32(),
            content_size: reader.get_u32() as usize,
            data_size: reader.get_u32() as usize,
            fields: *fields,
            hash: hash.try_into().ok()?,
        };
        let fits = header.content_size <= CONTENT_SIZE_MAX && header.data_size <= DATA_SIZE_MAX;
        fits.then_some(header)
    }

    fn open(self, data: &[u8]) -> Result<Chunk, String> {
        if data.len() < self.data_size {
            return Err("the file ends within it".to_owned());
        }
        if hash(&self.fields, data) != self.hash {
            return Err("its hash is wrong".to_owned());
        }
        let content = zstd::bulk::decompress(data, self.content_size);
        let content = content.map_err(|error| format!("it cannot be decompressed: {error}"))?;
        if content.len() != self.content_size {
            return Err("its content has another size than it states".to_owned());
        }
        Ok(Chunk {
            kind: self.kind,
            number: self.number,
            content,
            hash: self.hash,
            size: (CHUNK_HEADER_SIZE + data.len()) as u64,
        })
    }
}

fn hash(fields: &[u8], data: &[u8]) -> [u8; HASH_SIZE] {
    let mut digest = Sha256::new();
    digest.update(fields);
    digest.update(data);
    digest.finalize().into()
}

/// Checks the beginning of a file.
pub(crate) fn check_magic(bytes: &mut impl Read) -> Result<(), BackupError> {
    let mut magic = [0; MAGIC.len()];
    if fill(bytes, &mut magic)?.is_err() {
        return Err(BackupError::Magic);
    }
    let (version, name) = (magic[7], &magic[..7]);
    match name == &MAGIC[..7] {
        false => Err(BackupError::Magic),
        true if version != MAGIC[7] => Err(BackupError::Version(version.into())),
        true => Ok(()),
    }
}
