//! `quorate export`.

use std::{
    io::{BufReader, Read, Seek, Write},
    path::PathBuf,
};

use anyhow::Context;
use clap::Args;
use quorate_backup::BackupReader;
use quorate_packet::PublicKey;

use super::format::Format;
use crate::{
    admin::{AdminArgs, Session},
    backup,
    new_file::NewFile,
};

/// The size of a piece of output, in bytes.
const PIECE_SIZE: usize = 256 * 1024;

/// Exports packets.
#[derive(Debug, Args)]
pub struct ExportArgs {
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
    /// The file; by default standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the file if it exists
    #[arg(long, requires = "output")]
    force: bool,
    /// The format
    #[arg(long, value_name = "FORMAT", default_value = "json")]
    format: Format,
    /// Start after this key, to continue an interrupted export
    #[arg(long, value_name = "KEY")]
    after: Option<PublicKey>,
}

pub(crate) async fn export(args: ExportArgs, session: &mut Session) -> anyhow::Result<()> {
    let output = args.output.as_deref();
    let mut file = output
        .map(|output| NewFile::create(Some(output), args.force))
        .transpose()?;
    // First into a file: the node does not wait for a reader that pauses.
    let mut saved = tempfile::tempfile().context("no temporary file can be created")?;
    let bytes = backup::download(session).await?;
    let received = tokio::task::spawn_blocking(move || -> anyhow::Result<_> {
        backup::receive(bytes, &mut saved)?;
        saved.rewind()?;
        Ok(saved)
    });
    let saved = BufReader::new(received.await??);
    let count = write(saved, args.format, args.after, |piece| match &mut file {
        Some(file) => Ok(file.file().write_all(piece)?),
        None => session.console.write(piece),
    })?;
    if let (Some(file), Some(output)) = (file, output) {
        file.finish(output)?;
    }
    session.note(format_args!("{count} packets are exported"));
    Ok(())
}

/// Writes the packets of a backup after this key, in this format. Returns how many.
fn write(
    saved: impl Read,
    format: Format,
    after: Option<PublicKey>,
    mut out: impl FnMut(&[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<u64> {
    let reader = BackupReader::open(saved)?;
    let time = reader.state.time.clone();
    let mut piece = format.start().to_vec();
    let mut count = 0;
    for stored in reader {
        let stored = stored?;
        let key = stored.packet.key();
        if after.is_some_and(|after| *key <= after) {
            continue;
        }
        let received_ms = time.shown(stored.received).0;
        format.write(&mut piece, key, received_ms, stored.packet.payload())?;
        count += 1;
        if piece.len() >= PIECE_SIZE {
            out(&piece)?;
            piece.clear();
        }
    }
    out(&piece)?;
    Ok(count)
}
