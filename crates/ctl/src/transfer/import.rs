//! `quorate import`.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use quorate_api::{
    IMPORT_COUNT_MAX, ImportPackets, ImportReport, PortablePacket, RejectedPacket, path,
};
use serde::Serialize;

use super::source::{Program, Row, Source};
use crate::{
    admin::{AdminArgs, ApiCall, Session},
    progress_bar,
};

/// How many packets that were not imported are listed. The rest is counted.
const LISTED_COUNT_MAX: u64 = 20;

/// Imports packets.
#[derive(Debug, Args)]
pub struct ImportArgs {
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
    /// What to import; - for standard input
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// The program that wrote it
    #[arg(long, value_name = "PROGRAM", default_value = "quorate")]
    from: Program,
    /// Keep the times at which packets were received, so that they expire as they would have. By default
    /// they count as received now
    #[arg(long)]
    keep_received: bool,
    /// Leave out the first packets: those that an interrupted import processed
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    skip: u64,
}

/// What an import did.
#[derive(Debug, Default, Serialize)]
struct Total {
    /// How many packets were read, with those that were left out.
    processed: u64,
    stored: u64,
    unchanged: u64,
    superseded: u64,
    rejected: u64,
}

pub(crate) async fn import(args: ImportArgs, session: &mut Session) -> anyhow::Result<()> {
    let source = Source::open(args.from, &args.path)?;
    let bar = progress_bar(source.count, "packets");
    let mut rows = source.packets;
    let mut total = Total::default();
    while total.processed < args.skip && rows.next().transpose()?.is_some() {
        total.processed += 1;
    }
    loop {
        let mut batch = Batch::default();
        let read = batch.fill(&mut rows, args.keep_received);
        if batch.count == 0 && read.is_ok() {
            break;
        }
        let sent = send(batch, session, &mut total).await;
        bar.set_position(total.processed);
        if let Err(error) = sent.and(read) {
            bar.finish_and_clear();
            let processed = total.processed;
            if processed > 0 {
                session.note(format_args!(
                    "{processed} packets are done: continue after them with --skip {processed}"
                ));
            }
            return Err(error);
        }
    }
    bar.finish_and_clear();
    session.note(format_args!(
        "of {} packets, {} are new, {} were stored already, {} are older than what is stored or was deleted, and \
         {} were rejected",
        total.processed, total.stored, total.unchanged, total.superseded, total.rejected
    ));
    session.console.report(&total)?;
    match total.rejected {
        0 => Ok(()),
        count => bail!("{count} of {} packets were rejected", total.processed),
    }
}

/// Rows that are sent together.
#[derive(Default)]
struct Batch {
    count: u64,
    packets: Vec<PortablePacket>,
    unreadable: Vec<RejectedPacket>,
}

impl Batch {
    fn fill(
        &mut self,
        rows: &mut impl Iterator<Item = anyhow::Result<Row>>,
        keeps_received: bool,
    ) -> anyhow::Result<()> {
        for row in rows.take(IMPORT_COUNT_MAX) {
            match row? {
                Row::Packet(packet) => self.packets.push(PortablePacket {
                    received_ms: packet.received_ms.filter(|_| keeps_received),
                    ..packet
                }),
                Row::Unreadable(reason) => self.unreadable.push(RejectedPacket {
                    key: "unknown".to_owned(),
                    reason,
                }),
            }
            self.count += 1;
        }
        Ok(())
    }
}

/// Imports a batch. If it fails, the batch can be sent again.
async fn send(batch: Batch, session: &mut Session, total: &mut Total) -> anyhow::Result<()> {
    let mut report = ImportReport::default();
    if !batch.packets.is_empty() {
        let import = ImportPackets {
            packets: batch.packets,
        };
        let call = ApiCall::post(path::IMPORT_PACKETS, &import);
        report = session.call(&call).await?;
    }
    if report.full > 0 {
        bail!(
            "the capacity of the cluster is reached: raise packets.count_max or packets.size_max with \
             `quorate cluster set`"
        );
    }
    for rejected in batch.unreadable.iter().chain(&report.rejected) {
        total.rejected += 1;
        if total.rejected <= LISTED_COUNT_MAX {
            let RejectedPacket { key, reason } = rejected;
            session.note(format_args!("not imported: key {key}: {reason}"));
        }
    }
    total.processed += batch.count;
    total.stored += report.stored;
    total.unchanged += report.unchanged;
    total.superseded += report.superseded;
    Ok(())
}
