//! The formats of exported packets: JSON lines, and binary.
//!
//! A line of JSON is a [`PortablePacket`]. The binary format is a magic of 8 bytes, `qpacket1`, whose last byte is
//! the version, and for each packet: key 32 bytes, time received u64 in milliseconds since 1970 or 0, size u16,
//! payload. All integers are big-endian.

use std::io::{self, BufRead, Read, Write};

use anyhow::{Context, bail, ensure};
use clap::ValueEnum;
use data_encoding::BASE64;
use quorate_api::PortablePacket;
use quorate_packet::{PUBLIC_KEY_SIZE, PublicKey};

/// The beginning of the binary format.
pub(crate) const MAGIC: &[u8; 8] = b"qpacket1";

/// The longest line of JSON that is read, in bytes: twice the longest packet in base64.
const LINE_SIZE_MAX: u64 = 4096;

/// The size of a packet in the binary format before its payload, in bytes.
const HEADER_SIZE: usize = PUBLIC_KEY_SIZE + 8 + 2;

/// A format of exported packets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A line of JSON for each packet
    #[default]
    Json,
    /// A third smaller
    Binary,
}

impl Format {
    /// What is before the packets.
    pub(crate) fn start(self) -> &'static [u8] {
        match self {
            Self::Json => b"",
            Self::Binary => MAGIC,
        }
    }

    /// Appends a packet.
    pub(crate) fn write(
        self,
        out: &mut Vec<u8>,
        key: &PublicKey,
        received_ms: u64,
        payload: &[u8],
    ) -> io::Result<()> {
        match self {
            Self::Json => {
                let packet = PortablePacket {
                    key: key.to_string(),
                    received_ms: Some(received_ms),
                    payload: BASE64.encode(payload),
                };
                serde_json::to_writer(&mut *out, &packet)?;
                out.write_all(b"\n")
            }
            Self::Binary => {
                out.write_all(key.as_bytes())?;
                out.write_all(&received_ms.to_be_bytes())?;
                let size = u16::try_from(payload.len()).map_err(io::Error::other)?;
                out.write_all(&size.to_be_bytes())?;
                out.write_all(payload)
            }
        }
    }
}

/// Reads the next line. `None` at the end.
pub(crate) fn read_line(
    from: &mut impl BufRead,
    number: u64,
) -> anyhow::Result<Option<PortablePacket>> {
    let mut line = Vec::new();
    from.take(LINE_SIZE_MAX).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    ensure!(
        line.len() < LINE_SIZE_MAX as usize,
        "line {number} has {LINE_SIZE_MAX} bytes or more, which no packet has"
    );
    let packet = serde_json::from_slice(&line);
    packet.with_context(|| format!("line {number} is not a packet as `quorate export` writes it"))
}

/// Reads the next packet of the binary format, after its magic. `None` at the end.
pub(crate) fn read_binary(
    from: &mut impl BufRead,
    number: u64,
) -> anyhow::Result<Option<PortablePacket>> {
    if from.fill_buf()?.is_empty() {
        return Ok(None);
    }
    let mut header = [0; HEADER_SIZE];
    let mut payload = Vec::new();
    let complete = from.read_exact(&mut header).and_then(|()| {
        let size = u16::from_be_bytes([header[HEADER_SIZE - 2], header[HEADER_SIZE - 1]]);
        payload.resize(size.into(), 0);
        from.read_exact(&mut payload)
    });
    match complete {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            bail!("the file ends within packet {number}")
        }
        other => other?,
    }
    let (key, rest) = header.split_first_chunk().expect("it is longer");
    let (received, _) = rest.split_first_chunk().expect("it is longer");
    let received_ms = u64::from_be_bytes(*received);
    Ok(Some(PortablePacket {
        key: PublicKey::from_bytes(*key).to_string(),
        received_ms: (received_ms > 0).then_some(received_ms),
        payload: BASE64.encode(&payload),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: PublicKey = PublicKey::from_bytes([7; 32]);

    fn written(format: Format) -> Vec<u8> {
        let mut out = format.start().to_vec();
        for payload in [&b"one"[..], b"another"] {
            format.write(&mut out, &KEY, 5, payload).unwrap();
        }
        out
    }

    #[test]
    fn both_formats_are_read_as_they_were_written() {
        let json = written(Format::Json);
        let mut json = &json[..];
        let binary = written(Format::Binary);
        let mut binary = binary.strip_prefix(MAGIC).unwrap();
        for payload in [&b"one"[..], b"another"] {
            let packet = PortablePacket {
                key: KEY.to_string(),
                received_ms: Some(5),
                payload: BASE64.encode(payload),
            };
            assert_eq!(read_line(&mut json, 1).unwrap(), Some(packet.clone()));
            assert_eq!(read_binary(&mut binary, 1).unwrap(), Some(packet));
        }
        assert_eq!(read_line(&mut json, 3).unwrap(), None);
        assert_eq!(read_binary(&mut binary, 3).unwrap(), None);
    }

    #[test]
    fn a_packet_that_is_cut_off_is_named() {
        let binary = written(Format::Binary);
        for size in MAGIC.len() + 1..MAGIC.len() + HEADER_SIZE + 3 {
            let mut cut = &binary[MAGIC.len()..size];
            let error = read_binary(&mut cut, 1).unwrap_err().to_string();
            assert!(error.contains("within packet 1"), "{error}");
        }
    }

    #[test]
    fn a_wrong_or_endless_line_is_named_and_not_kept() {
        for line in ["{}", "{\"key\":1}", "\n"] {
            let error = read_line(&mut line.as_bytes(), 7).unwrap_err().to_string();
            assert!(error.contains("line 7"), "{error}");
        }
        let mut endless = io::BufReader::new(io::repeat(b' '));
        let error = read_line(&mut endless, 1).unwrap_err().to_string();
        assert!(error.contains("4096 bytes or more"), "{error}");
    }
}
