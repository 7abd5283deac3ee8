//! What a node stores: `quorate packet`.

use std::time::Duration;

use anyhow::Context;
use clap::{Args, Subcommand};
use data_encoding::BASE64;
use quorate_api::{
    BLOCK_SECS_MAX, Deleted, DeletionPage, PACKET_COUNT_DEFAULT, PACKET_COUNT_MAX, Packet,
    PacketPage, path,
};
use quorate_packet::{PublicKey, SignedPacket};

use crate::{
    admin::{AdminArgs, AdminClient, Ask},
    console::Console,
    exit,
    packet_changes::{self, ChangesArgs},
    resolve::describe,
    span,
    table::Table,
};

/// Arguments of `quorate packet`.
#[derive(Debug, Args)]
#[command(after_help = exit::help())]
pub struct PacketArgs {
    #[command(flatten)]
    admin: AdminArgs,
    #[command(subcommand)]
    command: PacketCommand,
}

#[derive(Debug, Subcommand)]
enum PacketCommand {
    /// Print the packet that this node holds of a key; its signature is verified here.
    #[command(after_help = exit::help())]
    Get {
        /// The public key, in z-base-32.
        #[arg(value_name = "KEY")]
        key: PublicKey,
    },
    /// List packets that this node holds, in the order of their keys.
    #[command(after_help = exit::help())]
    List(Page),
    /// Have the cluster delete the packet of a key: no node serves it any more, and neither it nor one
    /// before it comes back.
    #[command(after_help = exit::help_after("\
Unless the key is blocked, whoever has it can publish a newer packet at once. `quorate policy deny KEY` locks a
key out for good. Deleting again does no harm."))]
    Delete {
        /// The public key, in z-base-32.
        #[arg(value_name = "KEY")]
        key: PublicKey,
        /// For how long the key may not publish at all, such as 12h or 7d.
        #[arg(long, value_name = "SPAN", value_parser = parse_block)]
        block: Option<Duration>,
        /// Lift a block.
        #[arg(long, conflicts_with = "block")]
        unblock: bool,
    },
    /// List packets that were deleted and may not come back, in the order of their keys.
    #[command(after_help = exit::help())]
    Deleted(Page),
    /// Print which packets have changed: the entry of the log, what it did, and the key.
    #[command(after_help = exit::help_after("\
A node remembers the last changes that it has applied, and none from before it started."))]
    Changes(ChangesArgs),
}

/// A part of a list that is in the order of keys.
#[derive(Debug, Args)]
struct Page {
    /// The packets behind this key; without it, the first.
    #[arg(long, value_name = "KEY")]
    after: Option<PublicKey>,
    /// How many at most (1 to 1000).
    #[arg(long, value_name = "COUNT", default_value_t = PACKET_COUNT_DEFAULT as u64)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=PACKET_COUNT_MAX as u64))]
    count: u64,
}

fn parse_block(text: &str) -> Result<Duration, String> {
    let block = span::parse(text)?;
    match block.as_secs() <= BLOCK_SECS_MAX {
        true => Ok(block),
        false => {
            let max = span::shown(Duration::from_secs(BLOCK_SECS_MAX));
            Err(format!("{max} at most: `quorate policy deny` is for good"))
        }
    }
}

/// Shows what the node stores.
pub async fn packet(args: PacketArgs) -> anyhow::Result<()> {
    let (client, mut console) = args.admin.connect()?;
    match args.command {
        PacketCommand::Get { key } => print_one(&key, &client, &mut console).await,
        PacketCommand::List(page) => {
            print_page(page.after, page.count, &client, &mut console).await
        }
        PacketCommand::Delete {
            key,
            block,
            unblock,
        } => {
            let block = block.or(unblock.then_some(Duration::ZERO));
            delete(&key, block, &client, &mut console).await
        }
        PacketCommand::Deleted(page) => {
            print_deleted(page.after, page.count, &client, &mut console).await
        }
        PacketCommand::Changes(args) => packet_changes::print(args, &client, &mut console).await,
    }
}

pub(crate) async fn print_one(
    key: &PublicKey,
    client: &AdminClient,
    console: &mut Console,
) -> anyhow::Result<()> {
    let ask = Ask::get(path::with(path::PACKET, &key.to_string()));
    let packet: Packet = client.send(&ask, console).await?;
    let verified = verify(key, &packet);
    let verified = verified.context("what the node gave is not to be trusted")?;
    let mut text = describe(&verified)?;
    text.push_str(&format!("; received {}\n", span::date(packet.received_ms)));
    console.print(&packet, |_| text)
}

fn verify(key: &PublicKey, packet: &Packet) -> anyhow::Result<SignedPacket> {
    let payload = BASE64.decode(packet.payload.as_bytes());
    let payload = payload.context("the payload is no base64")?;
    Ok(SignedPacket::parse(*key, payload.into())?)
}

pub(crate) async fn print_page(
    after: Option<PublicKey>,
    count: u64,
    client: &AdminClient,
    console: &mut Console,
) -> anyhow::Result<()> {
    let ask = page(path::PACKETS, after, count);
    let page: PacketPage = client.send(&ask, console).await?;
    console.print(&page, table)?;
    note_more(page.next.as_deref(), console);
    Ok(())
}

fn page(path: &str, after: Option<PublicKey>, count: u64) -> Ask {
    let ask = Ask::get(path).query("count", count);
    match after {
        Some(after) => ask.query("after", after),
        None => ask,
    }
}

fn note_more(next: Option<&str>, console: &mut Console) {
    if let Some(next) = next {
        console.note(format_args!("there are more: --after {next}"));
    }
}

pub(crate) async fn delete(
    key: &PublicKey,
    block: Option<Duration>,
    client: &AdminClient,
    console: &mut Console,
) -> anyhow::Result<()> {
    let mut ask = Ask::delete(path::with(path::PACKET, &key.to_string()));
    if let Some(block) = block {
        ask = ask.query("block_secs", block.as_secs());
    }
    let deleted: Deleted = client.send(&ask, console).await?;
    console.note(match deleted.was_stored {
        true => format!("the packet of {key} is deleted"),
        false => format!("there is no packet of {key}"),
    });
    match block {
        None => {}
        Some(Duration::ZERO) => console.note("its key is blocked no more"),
        Some(block) => {
            let block = span::shown(block);
            console.note(format_args!("its key may not publish for {block}"));
        }
    }
    console.report(&deleted)
}

pub(crate) async fn print_deleted(
    after: Option<PublicKey>,
    count: u64,
    client: &AdminClient,
    console: &mut Console,
) -> anyhow::Result<()> {
    let ask = page(path::DELETIONS, after, count);
    let page: DeletionPage = client.send(&ask, console).await?;
    console.print(&page, |page| {
        let mut table = Table::new(["KEY", "NONE UP TO", "BLOCKED UNTIL"]);
        for deletion in &page.deletions {
            table.push([
                deletion.key.clone(),
                span::date(deletion.timestamp_us / 1000),
                deletion
                    .blocked_until_ms
                    .map(span::date)
                    .unwrap_or_default(),
            ]);
        }
        table.text()
    })?;
    note_more(page.next.as_deref(), console);
    Ok(())
}

fn table(page: &PacketPage) -> String {
    let mut table = Table::new(["KEY", "SIZE", "MADE", "RECEIVED"]);
    for packet in &page.packets {
        table.push([
            packet.key.clone(),
            packet.size.to_string(),
            span::date(packet.timestamp_us / 1000),
            span::date(packet.received_ms),
        ]);
    }
    table.text()
}

#[cfg(test)]
#[path = "packet_tests.rs"]
mod tests;
