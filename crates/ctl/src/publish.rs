//! Publishing records: `quorate publish`.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use pkarr::Keypair;
use quorate_packet::{DNS_SIZE_MAX, PublicKey, SignedPacket};
use reqwest::{
    StatusCode,
    header::{AUTHORIZATION, RETRY_AFTER},
};

use crate::{
    key_file, outln,
    output::printable,
    record::{self, Record},
    relay,
    relay_url::{DEFAULT_RELAY, RelayUrl},
    token::Token,
};

/// The variable that holds a publish token.
const TOKEN_VARIABLE: &str = "QUORATE_PUBLISH_TOKEN";

/// Arguments of `quorate publish`.
#[derive(Debug, Args)]
#[command(after_help = "\
A record is three words: NAME TYPE VALUE. NAME is relative to your key (@ is the key itself), TYPE
is A, AAAA, CNAME or TXT. Repeat these words for more records. They replace everything that
the key has published before.

Examples:
  An iroh endpoint's home relay (creates the key file if there is none):
    quorate publish --key me.key _iroh TXT relay=https://relay.example.org
  The same with --txt NAME=VALUE, and a second attribute:
    quorate publish --key me.key --txt _iroh=relay=https://relay.example.org \\
        --txt _iroh=addr=192.0.2.1:4433
  Several records through a relay elsewhere:
    quorate publish --key me.key --relay https://relay.example.org/pkarr \\
        @ A 192.0.2.1 @ AAAA 2001:db8::1 www CNAME example.org.")]
pub struct PublishArgs {
    /// The file with the secret key, 64 hexadecimal digits; created if it does not exist
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The relay to publish through; that of `quorate serve` on this machine by default
    #[arg(long, value_name = "URL", default_value = DEFAULT_RELAY, env = "QUORATE_RELAY")]
    relay: RelayUrl,
    /// A file with a publish token, if the relay requires one; QUORATE_PUBLISH_TOKEN can hold the token itself
    #[arg(long, value_name = "FILE", env = "QUORATE_PUBLISH_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// How long resolvers may cache the records, in seconds
    #[arg(long, value_name = "SECS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(..=604_800))]
    ttl: u32,
    /// A TXT record; the name ends at the first =
    #[arg(long, value_name = "NAME=VALUE")]
    txt: Vec<String>,
    /// The DNS server in the printed `dig` command; by default that of a node on this machine
    #[arg(long, value_name = "IP:PORT")]
    dns: Option<SocketAddr>,
    /// The zone in the printed `dig` command; by default that of `quorate dev` if the relay is one of
    /// its nodes
    #[arg(long, value_name = "NAME")]
    origin: Option<String>,
    /// Records: NAME TYPE VALUE, repeated
    #[arg(value_name = "RECORD")]
    records: Vec<String>,
}

/// Signs the records, publishes them, and prints how to look them up.
pub(crate) async fn publish(args: PublishArgs) -> anyhow::Result<()> {
    let records = record::parse(&args.txt, &args.records)?;
    let variable = (TOKEN_VARIABLE, std::env::var_os(TOKEN_VARIABLE));
    let token = Token::find(args.token_file.as_deref(), variable)?;
    let (keypair, is_new) = key_file::open(&args.key)?;
    let packet = sign(&keypair, &records, args.ttl)?;
    if is_new {
        outln!(
            "created    {} with a new secret key: keep it secret, it can publish",
            args.key.display()
        )?;
    }
    outln!("key        {}", packet.key())?;
    put(&args.relay, &packet, token.as_ref()).await?;
    print_stored(&args, &records, &packet)?;
    print_commands(&args, &records, packet.key())
}

fn sign(keypair: &Keypair, records: &[Record], ttl: u32) -> anyhow::Result<SignedPacket> {
    let mut builder = pkarr::SignedPacket::builder();
    for record in records {
        builder = builder.rdata(record.name()?, record.data()?, ttl);
    }
    let signed = builder.sign(keypair).with_context(|| {
        format!("the records do not fit into a packet of {DNS_SIZE_MAX} bytes; publish fewer")
    })?;
    // Checked as a relay checks it, so that an invalid packet is rejected here.
    let key = PublicKey::from_bytes(keypair.public_key().to_bytes());
    SignedPacket::parse(key, signed.to_relay_payload())
        .context("the records are not a valid packet")
}

async fn put(url: &RelayUrl, packet: &SignedPacket, token: Option<&Token>) -> anyhow::Result<()> {
    let mut request = relay::client()?.put(url.packet(packet.key()));
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, token.header());
    }
    let response = request.body(packet.payload().clone()).send().await;
    let response = response.map_err(|error| relay::explain(error, url))?;
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    let retry_after = response.headers().get(RETRY_AFTER);
    let again = retry_after
        .and_then(|value| value.to_str().ok())
        .map_or_else(String::new, |secs| format!(" in {} s", printable(secs)));
    let reason = relay::reason(response).await;
    let meaning = match status {
        StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED => {
            "the relay has a newer packet of this key: is the clock of this machine right, and does \
             another machine publish with the same key?"
        }
        StatusCode::UNAUTHORIZED => {
            "the relay requires a token: set --token-file FILE or QUORATE_PUBLISH_TOKEN_FILE to a file with one"
        }
        StatusCode::FORBIDDEN => {
            "the operators of the relay do not allow this key, or not with this token"
        }
        StatusCode::NOT_FOUND => {
            "there is no relay at this URL: is the path in --relay right (usually /pkarr)?"
        }
        StatusCode::TOO_MANY_REQUESTS => {
            &format!("too many requests from this address; retry{again}")
        }
        StatusCode::SERVICE_UNAVAILABLE => {
            &format!("not stored: the relay cannot accept it now; retry{again}")
        }
        StatusCode::GATEWAY_TIMEOUT => "unknown: it may be stored or not; a retry is safe",
        status if status.is_client_error() => "the relay rejected the packet",
        _ => "the relay failed; it may be stored or not",
    };
    bail!("{meaning}\n  the relay {url} answered {status}: {reason}")
}

fn print_stored(
    args: &PublishArgs,
    records: &[Record],
    packet: &SignedPacket,
) -> anyhow::Result<()> {
    let count = match records.len() {
        1 => "1 record".to_owned(),
        count => format!("{count} records"),
    };
    outln!(
        "stored     {count} in {} bytes at {}",
        packet.payload().len(),
        args.relay
    )?;
    for record in records {
        outln!("           {record}")?;
    }
    Ok(())
}

fn print_commands(args: &PublishArgs, records: &[Record], key: &PublicKey) -> anyhow::Result<()> {
    outln!("look it up")?;
    outln!("           curl -sS {} | od -c", args.relay.packet(key))?;
    match records.first() {
        Some(first) => outln!("           {}", dig(args, first, key)),
        None => Ok(()),
    }
}

/// The `dig` command that looks up `record`. What is not known is a word in capitals.
fn dig(args: &PublishArgs, record: &Record, key: &PublicKey) -> String {
    let (server, origin) = args.relay.dns();
    let server = args.dns.or(server);
    let origin = args.origin.as_deref().or(origin);
    let at = server.map_or_else(
        || format!("@{}", args.relay.host_and_port().0),
        |server| format!("@{} -p {}", server.ip(), server.port()),
    );
    let name = record.name_at(key, origin.unwrap_or("ZONE"));
    let hint = match (server, origin) {
        (Some(_), Some(_)) => "",
        (Some(_), None) => "   (ZONE is a zone of the server: see dns.origins, or set --origin)",
        (None, Some(_)) => "   (--dns sets the server and its port)",
        (None, None) => {
            "   (ZONE is a zone of the server: set --origin; --dns sets the server and its port)"
        }
    };
    format!("dig {at} {name} {}{hint}", record.kind())
}

#[cfg(test)]
#[path = "publish_tests.rs"]
mod tests;
