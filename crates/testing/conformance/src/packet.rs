//! Signed packets.

use bytes::Bytes;
use pkarr::Keypair;

use crate::presentation::Piece;

/// The timestamp of every packet, in microseconds since the epoch. One value is enough: no packet
/// of the scripts is published twice.
const MICROS: u64 = 1_700_000_000_000_000;

/// The largest offset that a pointer can hold (RFC 1035, section 4.1.4).
const POINTER_MAX: usize = 0x3fff;

/// A signed packet, to publish before the cases run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// The signer, in z-base-32.
    pub key: String,
    pub payload: Bytes,
}

impl Packet {
    pub(crate) fn sign(keys: &Keypair, dns: &[u8]) -> Self {
        let mut signable = format!("3:seqi{MICROS}e1:v{}:", dns.len()).into_bytes();
        signable.extend_from_slice(dns);
        let signature = keys.sign(&signable).to_bytes();
        Self {
            key: keys.to_z32(),
            payload: [&signature[..], &MICROS.to_be_bytes(), dns].concat().into(),
        }
    }
}

/// The key pair that a script calls by a name: the same in every run, different in every script.
pub(crate) fn keys(script: &str, name: &str) -> Keypair {
    let mut seed = [0; 32];
    for (at, byte) in script.bytes().chain([0]).chain(name.bytes()).enumerate() {
        let place: &mut u8 = &mut seed[at % 32];
        *place = place.rotate_left(3) ^ byte;
    }
    Keypair::from_secret_key(&seed)
}

/// A record of a packet.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) owner: Vec<u8>,
    pub(crate) record_type: u16,
    pub(crate) class: u16,
    pub(crate) ttl: u32,
    pub(crate) data: Vec<Piece>,
}

/// A DNS message with these answers. With `compress`, names in data are compressed, as the builder
/// of the `pkarr` crate does for some types.
pub(crate) fn message(records: &[Published], compress: bool) -> Result<Vec<u8>, String> {
    let count = u16::try_from(records.len()).map_err(|error| error.to_string())?;
    let mut writer = Writer {
        bytes: vec![0, 0, 0x84, 0, 0, 0],
        suffixes: Vec::new(),
    };
    writer.bytes.extend_from_slice(&count.to_be_bytes());
    writer.bytes.extend_from_slice(&[0; 4]);
    for record in records {
        writer.name(&record.owner, true);
        for value in [record.record_type, record.class] {
            writer.bytes.extend_from_slice(&value.to_be_bytes());
        }
        writer.bytes.extend_from_slice(&record.ttl.to_be_bytes());
        let size_at = writer.bytes.len();
        writer.bytes.extend_from_slice(&[0; 2]);
        for piece in &record.data {
            match piece {
                Piece::Name(name) => writer.name(name, compress),
                Piece::Bytes(bytes) => writer.bytes.extend_from_slice(bytes),
            }
        }
        let size = u16::try_from(writer.bytes.len() - size_at - 2);
        let size = size.map_err(|error| error.to_string())?;
        writer.bytes[size_at..][..2].copy_from_slice(&size.to_be_bytes());
    }
    match writer.bytes.len() {
        ..=1000 => Ok(writer.bytes),
        size => Err(format!("{size} bytes are too long for a packet")),
    }
}

struct Writer {
    bytes: Vec<u8>,
    /// The names in the message, and their offsets.
    suffixes: Vec<(Vec<u8>, u16)>,
}

impl Writer {
    fn name(&mut self, mut name: &[u8], compress: bool) {
        while let Some((size, _)) = name.split_first()
            && *size > 0
        {
            let known = self.suffixes.iter().find(|(suffix, _)| suffix == name);
            if let Some((_, at)) = known.filter(|_| compress) {
                self.bytes.extend_from_slice(&(0xc000 | at).to_be_bytes());
                return;
            }
            if let Ok(at) = u16::try_from(self.bytes.len())
                && usize::from(at) <= POINTER_MAX
            {
                self.suffixes.push((name.to_vec(), at));
            }
            let (label, rest) = name.split_at(1 + usize::from(*size));
            self.bytes.extend_from_slice(label);
            name = rest;
        }
        self.bytes.push(0);
    }
}
