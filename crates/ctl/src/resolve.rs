//! Lookup of what a key has published: `quorate resolve`.

use std::net::SocketAddr;

use anyhow::{Context, bail};
use clap::Args;
use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{Name, RData, Record, RecordType},
};
use quorate_packet::{PAYLOAD_SIZE_MAX, PublicKey, SignedPacket, txt_text};
use reqwest::StatusCode;

use crate::{
    dns, http, out,
    output::printable,
    record, relay,
    relay_url::{DEFAULT_RELAY, DEV_ORIGIN, RelayUrl},
};

/// Arguments of `quorate resolve`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  The whole packet, from a relay; its signature is verified here:
    quorate resolve KEY --relay http://127.0.0.1:8082/pkarr
  One name, from a DNS server:
    quorate resolve KEY --dns 127.0.0.1:5303 --origin quorate.test
    quorate resolve KEY --dns 127.0.0.1:5303 --origin quorate.test --name @ --type A")]
pub struct ResolveArgs {
    /// The public key, in z-base-32
    #[arg(value_name = "KEY")]
    key: PublicKey,
    /// Ask this relay; that of `quorate serve` on this machine by default
    #[arg(long, value_name = "URL", default_value = DEFAULT_RELAY, env = "QUORATE_RELAY")]
    relay: RelayUrl,
    /// Ask this DNS server instead of a relay
    #[arg(long, value_name = "IP:PORT")]
    dns: Option<SocketAddr>,
    /// The origin that the DNS server serves
    #[arg(long, value_name = "NAME", default_value = DEV_ORIGIN, requires = "dns")]
    origin: String,
    /// The name below the key; @ is the key itself
    #[arg(long, value_name = "NAME", default_value = "_iroh", requires = "dns")]
    name: String,
    /// The record type
    #[arg(long = "type", value_name = "TYPE", default_value = "TXT", requires = "dns", value_parser = parse_type)]
    kind: RecordType,
}

fn parse_type(text: &str) -> Result<RecordType, String> {
    text.to_ascii_uppercase()
        .parse()
        .map_err(|_| "not a DNS record type".to_owned())
}

/// Looks up the key and prints its records. Fails if there are none.
pub(crate) async fn resolve(args: ResolveArgs) -> anyhow::Result<()> {
    let text = match args.dns {
        Some(server) => by_dns(&args, server).await?,
        None => by_relay(&args.key, &args.relay).await?,
    };
    out!("{text}")
}

async fn by_relay(key: &PublicKey, url: &RelayUrl) -> anyhow::Result<String> {
    let response = relay::client()?.get(url.packet(key)).send().await;
    let response = response.map_err(|error| relay::explain(error, url))?;
    match response.status() {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND => bail!("not found: the relay {url} has no packet of {key}"),
        status => {
            let reason = relay::reason(response).await;
            bail!("the relay {url} answered {status}: {reason}");
        }
    }
    let body = http::body(response, PAYLOAD_SIZE_MAX + 1).await;
    let body = body.with_context(|| format!("the answer of the relay {url} is incomplete"))?;
    let packet = SignedPacket::parse(*key, body)
        .with_context(|| format!("the packet from the relay {url} is invalid"))?;
    describe(&packet)
}

/// Formats a verified packet, record by record.
pub(crate) fn describe(packet: &SignedPacket) -> anyhow::Result<String> {
    let message = Message::from_vec(packet.dns()).context("the DNS packet cannot be decoded")?;
    let mut text = format!(
        "; {}, signature verified, timestamp {} µs, {} bytes\n",
        packet.key(),
        packet.timestamp(),
        packet.payload().len()
    );
    if message.answers.is_empty() {
        text.push_str("; the packet holds no records\n");
    }
    text.extend(message.answers.iter().map(zone_file_line));
    Ok(text)
}

async fn by_dns(args: &ResolveArgs, server: SocketAddr) -> anyhow::Result<String> {
    let name = full_name(&args.name, &args.key, &args.origin)?;
    let response = dns::query(server, &name, args.kind).await?;
    let kind = args.kind;
    match response.metadata.response_code {
        ResponseCode::NoError if response.answers.is_empty() => {
            bail!("not found: {name} exists at {server}, without {kind} records")
        }
        ResponseCode::NoError => Ok(response.answers.iter().map(zone_file_line).collect()),
        ResponseCode::NXDomain => bail!("not found: {name} does not exist at {server}"),
        ResponseCode::Refused => {
            bail!(
                "{server} does not serve {}: is --origin right?",
                args.origin
            )
        }
        code => bail!("{server} answered {code} for {name} {kind}"),
    }
}

fn full_name(name: &str, key: &PublicKey, origin: &str) -> anyhow::Result<Name> {
    let text = record::full_name(name, key, origin) + ".";
    Name::from_ascii(&text).with_context(|| format!("{text:?} is not a domain name"))
}

/// A record in zone file format (RFC 1035, section 5.1).
fn zone_file_line(record: &Record) -> String {
    let data = match &record.data {
        RData::TXT(txt) => txt_text(&txt.txt_data),
        data => data.to_string(),
    };
    let (name, ttl, class) = (&record.name, record.ttl, record.dns_class);
    printable(&format!(
        "{name} {ttl} {class} {} {data}",
        record.record_type()
    )) + "\n"
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
