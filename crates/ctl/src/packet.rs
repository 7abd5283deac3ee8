//! Stored packets: `quorate packet`.

use std::time::Duration;

use anyhow::Context;
use clap::{Args, Subcommand};
use data_encoding::BASE64;
use quorate_api::{
    BLOCK_SECS_MAX, Deleted, DeletedPacket, DeletionPage, PACKET_COUNT_DEFAULT, PACKET_COUNT_MAX,
    Packet, PacketPage, PacketSummary, path,
};
use quorate_packet::{PublicKey, SignedPacket};

use crate::{
    admin::{ApiCall, Session},
    packet_changes::{self, ChangesArgs},
    resolve::describe,
    span,
    table::table,
};

/// Shows stored packets, or deletes one.
#[derive(Debug, Subcommand)]
pub enum PacketCommand {
    /// Print the stored packet of a key, and verify its signature
    Get {
        /// The public key, in z-base-32
        key: PublicKey,
    },
    /// List the packets of this node, ordered by key
    List(PageArgs),
    /// Delete the packet of a key from all nodes: neither it nor an earlier one can be stored again
    #[command(after_help = "\
Unless the key is blocked, its owner can publish a newer packet immediately. `quorate policy deny KEY` excludes
a key permanently. Deleting again does no harm.")]
    Delete {
        /// The public key, in z-base-32
        key: PublicKey,
        /// Block the key for this time, such as 12h or 7d: it may not publish
        #[arg(long, value_name = "SPAN", value_parser = parse_block)]
        block: Option<Duration>,
        /// Lift a block
        #[arg(long, conflicts_with = "block")]
        unblock: bool,
    },
    /// List deleted packets that cannot be stored again, ordered by key
    Deleted(PageArgs),
    /// Print which packets have changed: the log entry, the kind of change, and the key
    #[command(after_help = "\
A node keeps only the last changes, and none from before its start.")]
    Changes(ChangesArgs),
}

/// A page of a list that is ordered by key.
#[derive(Debug, Args)]
pub struct PageArgs {
    /// Start after this key; by default at the beginning
    #[arg(long, value_name = "KEY")]
    after: Option<PublicKey>,
    /// The most packets to list (1 to 1000)
    #[arg(long, value_name = "COUNT", default_value_t = PACKET_COUNT_DEFAULT as u64)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=PACKET_COUNT_MAX as u64))]
    count: u64,
}

impl PageArgs {
    fn call(&self, path: &str) -> ApiCall {
        let call = ApiCall::get(path).query("count", self.count);
        match self.after {
            Some(after) => call.query("after", after),
            None => call,
        }
    }
}

fn parse_block(text: &str) -> Result<Duration, String> {
    let block = span::parse(text)?;
    match block.as_secs() <= BLOCK_SECS_MAX {
        true => Ok(block),
        false => {
            let max = span::shown(Duration::from_secs(BLOCK_SECS_MAX));
            Err(format!(
                "at most {max}: for longer, use `quorate policy deny`"
            ))
        }
    }
}

impl PacketCommand {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let next = match self {
            Self::List(page) => {
                let call = page.call(path::PACKETS);
                session.show(&call, packets).await?.next
            }
            Self::Deleted(page) => {
                let call = page.call(path::DELETIONS);
                session.show(&call, deletions).await?.next
            }
            Self::Get { key } => return print(&key, session).await,
            Self::Changes(args) => return packet_changes::print(args, session).await,
            Self::Delete {
                key,
                block,
                unblock,
            } => {
                let block = block.or(unblock.then_some(Duration::ZERO));
                return delete(&key, block, session).await;
            }
        };
        if let Some(next) = next {
            session.note(format_args!("there are more: --after {next}"));
        }
        Ok(())
    }
}

async fn print(key: &PublicKey, session: &mut Session) -> anyhow::Result<()> {
    let call = ApiCall::get(path::with(path::PACKET, &key.to_string()));
    let packet: Packet = session.call(&call).await?;
    let text = verified_text(key, &packet)?;
    let received = span::date(packet.received_ms);
    session
        .console
        .print(&packet, |_| format!("{text}; received {received}\n"))
}

/// Verifies a packet from a node, and describes it.
pub(crate) fn verified_text(key: &PublicKey, packet: &Packet) -> anyhow::Result<String> {
    let verified = verify(key, packet);
    describe(&verified.context("the packet from the node is invalid")?)
}

fn verify(key: &PublicKey, packet: &Packet) -> anyhow::Result<SignedPacket> {
    let payload = BASE64.decode(packet.payload.as_bytes());
    let payload = payload.context("the payload is not base64")?;
    Ok(SignedPacket::parse(*key, payload.into())?)
}

async fn delete(
    key: &PublicKey,
    block: Option<Duration>,
    session: &mut Session,
) -> anyhow::Result<()> {
    let mut call = ApiCall::delete(path::with(path::PACKET, &key.to_string()));
    if let Some(block) = block {
        call = call.query("block_secs", block.as_secs());
    }
    let note = |deleted: &Deleted| match deleted.was_stored {
        true => format!("the packet of {key} is deleted"),
        false => format!("there is no packet of {key}"),
    };
    session.change(&call, note).await?;
    match block {
        None => {}
        Some(Duration::ZERO) => session.note("its key is no longer blocked"),
        Some(block) => {
            let block = span::shown(block);
            session.note(format_args!("its key may not publish for {block}"));
        }
    }
    Ok(())
}

fn deletions(page: &DeletionPage) -> String {
    let row = |deletion: &DeletedPacket| {
        let blocked_until = deletion.blocked_until_ms.map(span::date);
        [
            deletion.key.clone(),
            span::date(deletion.timestamp_us / 1000),
            blocked_until.unwrap_or_default(),
        ]
    };
    let rows = page.deletions.iter().map(row);
    table(["KEY", "NONE UP TO", "BLOCKED UNTIL"], rows)
}

fn packets(page: &PacketPage) -> String {
    let row = |packet: &PacketSummary| {
        [
            packet.key.clone(),
            packet.size.to_string(),
            span::date(packet.timestamp_us / 1000),
            span::date(packet.received_ms),
        ]
    };
    let rows = page.packets.iter().map(row);
    table(["KEY", "SIZE", "MADE", "RECEIVED"], rows)
}

#[cfg(test)]
#[path = "packet_tests.rs"]
mod tests;
