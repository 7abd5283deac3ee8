//! Where imported packets come from.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::Path,
};

use anyhow::Context;
use clap::ValueEnum;
use data_encoding::BASE64;
use quorate_api::PortablePacket;
use quorate_backup::BackupReader;
use quorate_foreign::{ForeignError, ForeignPackets, iroh_dns_server, pkarr_relay};
use quorate_packet::PublicKey;

use super::format::{MAGIC, read_binary, read_line};

/// The file name that means standard input.
const STDIN: &str = "-";

/// The beginning of a backup.
const BACKUP_MAGIC: &[u8] = b"qbackup";

/// The program that wrote the packets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Program {
    /// Quorate: JSON lines, binary, or a backup
    #[default]
    Quorate,
    /// signed-packets-1.db of iroh-dns-server. Stop the server first, or copy the file while it is stopped
    IrohDnsServer,
    /// The pkarr-cache directory of pkarr-relay. Stop the relay first
    PkarrRelay,
}

/// Packets to import. None is verified.
pub(crate) struct Source {
    /// How many there are, if known.
    pub(crate) count: Option<u64>,
    /// An error ends the import.
    pub(crate) packets: Packets,
}

type Packets = Box<dyn Iterator<Item = anyhow::Result<Row>>>;

/// A row of a source.
pub(crate) enum Row {
    Packet(PortablePacket),
    /// A row of a database that is not a packet, with the reason.
    Unreadable(String),
}

impl Source {
    pub(crate) fn open(program: Program, path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let source = match program {
            Program::Quorate if path == Path::new(STDIN) => of_quorate(io::stdin().lock()),
            Program::Quorate => File::open(path)
                .map_err(Into::into)
                .and_then(|file| of_quorate(BufReader::new(file))),
            Program::IrohDnsServer => iroh_dns_server(path).map(of_others).map_err(Into::into),
            Program::PkarrRelay => pkarr_relay(path).map(of_others).map_err(Into::into),
        };
        source.with_context(|| format!("{shown} cannot be imported"))
    }
}

fn of_quorate(mut from: impl BufRead + 'static) -> anyhow::Result<Source> {
    let start = from.fill_buf()?;
    if start.starts_with(BACKUP_MAGIC) {
        let reader = BackupReader::open(from)?;
        let (count, time) = (reader.header.packet_count, reader.state.time.clone());
        let packets = reader.map(move |stored| {
            let stored = stored?;
            Ok(Row::Packet(PortablePacket {
                key: stored.packet.key().to_string(),
                received_ms: Some(time.shown(stored.received).0),
                payload: BASE64.encode(stored.packet.payload()),
            }))
        });
        return Ok(Source {
            count: Some(count),
            packets: Box::new(packets),
        });
    }
    let is_binary = start.starts_with(MAGIC);
    if is_binary {
        from.consume(MAGIC.len());
    }
    let (mut number, mut has_failed) = (0, false);
    let packets = std::iter::from_fn(move || {
        number += 1;
        let packet = match is_binary {
            _ if has_failed => return None,
            true => read_binary(&mut from, number),
            false => read_line(&mut from, number),
        };
        has_failed = packet.is_err();
        packet.map(|packet| packet.map(Row::Packet)).transpose()
    });
    Ok(Source {
        count: None,
        packets: Box::new(packets),
    })
}

fn of_others(ForeignPackets { count, packets }: ForeignPackets) -> Source {
    let packets = packets.map(|packet| match packet {
        Ok(packet) => Ok(Row::Packet(PortablePacket {
            key: PublicKey::from_bytes(packet.key).to_string(),
            received_ms: packet.seen_ms,
            payload: BASE64.encode(&packet.payload),
        })),
        Err(error @ ForeignError::Row(_)) => Ok(Row::Unreadable(error.to_string())),
        Err(error) => Err(error.into()),
    });
    Source {
        count: Some(count),
        packets: Box::new(packets),
    }
}
