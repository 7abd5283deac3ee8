//! What a node stores: `quorate packet`.

use anyhow::Context;
use clap::{Args, Subcommand};
use data_encoding::BASE64;
use quorate_admin_api::{PACKET_COUNT_DEFAULT, PACKET_COUNT_MAX, Packet, PacketPage, path};
use quorate_packet::{PublicKey, SignedPacket};

use crate::{
    admin::{AdminArgs, AdminClient, Ask},
    console::Console,
    exit,
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
    List {
        /// The packets behind this key; without it, the first.
        #[arg(long, value_name = "KEY")]
        after: Option<PublicKey>,
        /// How many at most (1 to 1000).
        #[arg(long, value_name = "COUNT", default_value_t = PACKET_COUNT_DEFAULT as u64)]
        #[arg(value_parser = clap::value_parser!(u64).range(1..=PACKET_COUNT_MAX as u64))]
        count: u64,
    },
}

/// Shows what the node stores.
pub async fn packet(args: PacketArgs) -> anyhow::Result<()> {
    let (client, mut console) = args.admin.connect()?;
    match args.command {
        PacketCommand::Get { key } => print_one(&key, &client, &mut console).await,
        PacketCommand::List { after, count } => {
            print_page(after, count, &client, &mut console).await
        }
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
    let mut ask = Ask::get(path::PACKETS).query("count", count);
    if let Some(after) = after {
        ask = ask.query("after", after);
    }
    let page: PacketPage = client.send(&ask, console).await?;
    console.print(&page, table)?;
    if let Some(next) = &page.next {
        console.note(format_args!("there are more: --after {next}"));
    }
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
