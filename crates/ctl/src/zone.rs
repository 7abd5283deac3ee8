//! Records that the cluster serves beside packets: `quorate zone`.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use quorate_api::{
    IMPORT_SIZE_MAX, ImportZoneRequest, ROOT_ZONE, SetRecordsRequest, UnsetRecordsRequest, Zone,
    ZoneListing, Zones, path,
};

use crate::{
    admin::{AdminArgs, AdminClient, Ask},
    console::Console,
    exit, span,
    table::Table,
};

/// The most bytes of a character string (RFC 1035, section 3.3).
const STRING_SIZE_MAX: usize = 255;

/// What stands for standard input.
const STDIN: &str = "-";

/// Arguments of `quorate zone`.
#[derive(Debug, Args)]
#[command(after_help = exit::help_after("\
ORIGIN is one of dns.origins in the configuration of the node that is asked. A NAME is relative to it
unless it ends in a dot; @ is the origin itself. Its SOA and NS records are configured, and nothing can be
set at a public key or below one.

  quorate zone set dns.example.org www 300 A 192.0.2.1 192.0.2.2
  quorate zone set dns.example.org @ 1h MX '10 mail' '20 mail.example.net.'
  quorate zone set dns.example.org _dmarc 1h TXT 'v=DMARC1; p=reject'
  quorate zone list dns.example.org > zone
  quorate zone import dns.example.org zone"))]
pub struct ZoneArgs {
    #[command(flatten)]
    admin: AdminArgs,
    #[command(subcommand)]
    command: ZoneCommand,
}

#[derive(Debug, Subcommand)]
enum ZoneCommand {
    /// List the zones, or the replicated records of one as a zone file.
    #[command(after_help = exit::help_after("\
SERIAL is that of the zone's SOA on the node that is asked, and RECORDS counts those that are replicated:
what is configured stands in the configuration."))]
    List {
        /// The zone; without it, all are listed.
        #[arg(value_parser = parse_zone)]
        origin: Option<String>,
    },
    /// Set the records of one name and type, in the place of those that it has.
    #[command(after_help = exit::help())]
    Set(SetArgs),
    /// Remove the replicated records of a name, of one type or all.
    #[command(after_help = exit::help())]
    Unset(UnsetArgs),
    /// Put a zone file (RFC 1035) in the place of all replicated records of a zone.
    #[command(after_help = exit::help_after("\
All of it or nothing: what is wrong is told with its line. The zone file has no SOA, no NS records of the
zone itself and no $INCLUDE; an empty one removes all replicated records."))]
    Import(ImportArgs),
}

#[derive(Debug, Args)]
struct SetArgs {
    /// The zone.
    #[arg(value_parser = parse_zone)]
    origin: String,
    /// The name.
    name: String,
    /// How long resolvers may keep the records: seconds, or such as 10m, 1h or 7d.
    #[arg(value_parser = parse_ttl)]
    ttl: u32,
    /// The type, such as A, or TYPE and its number.
    #[arg(value_name = "TYPE")]
    record_type: String,
    /// The data of a record as in a zone file, each one argument: quote what has spaces. A TXT without
    /// quotes of its own is one text.
    #[arg(required = true)]
    data: Vec<String>,
}

#[derive(Debug, Args)]
struct UnsetArgs {
    /// The zone.
    #[arg(value_parser = parse_zone)]
    origin: String,
    /// The name.
    name: String,
    /// The type; without it, the records of all types.
    #[arg(value_name = "TYPE")]
    record_type: Option<String>,
}

#[derive(Debug, Args)]
struct ImportArgs {
    /// The zone.
    #[arg(value_parser = parse_zone)]
    origin: String,
    /// The zone file; - for standard input.
    file: PathBuf,
}

/// The zone as it stands in a path.
fn parse_zone(text: &str) -> Result<String, String> {
    match text {
        "." => Ok(ROOT_ZONE.to_owned()),
        // In a path these would mean something else (RFC 3986, section 5.2.4).
        "" | ".." => Err("no zone is called so".to_owned()),
        _ => Ok(text.to_owned()),
    }
}

fn parse_ttl(text: &str) -> Result<u32, String> {
    if let Ok(secs) = text.parse() {
        return Ok(secs);
    }
    let secs = span::parse(text)?.as_secs();
    secs.try_into().map_err(|_| "that is too long".to_owned())
}

/// Shows or changes what is served beside packets.
pub async fn zone(args: ZoneArgs) -> anyhow::Result<()> {
    let (client, mut console) = args.admin.connect()?;
    run(args.command, &client, &mut console).await
}

async fn run(
    command: ZoneCommand,
    client: &AdminClient,
    console: &mut Console,
) -> anyhow::Result<()> {
    match command {
        ZoneCommand::List { origin: None } => list_zones(client, console).await,
        ZoneCommand::List {
            origin: Some(origin),
        } => list_records(&origin, client, console).await,
        ZoneCommand::Set(args) => set(args, client, console).await,
        ZoneCommand::Unset(args) => unset(args, client, console).await,
        ZoneCommand::Import(args) => import(&args, client, console).await,
    }
}

async fn list_zones(client: &AdminClient, console: &mut Console) -> anyhow::Result<()> {
    let zones: Zones = client.send(&Ask::get(path::ZONES), console).await?;
    console.print(&zones, |zones| {
        let mut table = Table::new(["ZONE", "SERIAL", "RECORDS"]);
        for zone in &zones.zones {
            let serial = zone.serial.map(|serial| serial.to_string());
            table.push([
                zone.zone.clone(),
                serial.unwrap_or_default(),
                zone.record_count.to_string(),
            ]);
        }
        table.text()
    })?;
    for zone in zones.zones.iter().filter(|zone| zone.serial.is_none()) {
        console.note(format_args!("the node serves no zone {}", zone.zone));
    }
    Ok(())
}

/// As a zone file, which can be imported.
async fn list_records(
    origin: &str,
    client: &AdminClient,
    console: &mut Console,
) -> anyhow::Result<()> {
    let ask = Ask::get(path::with(path::ZONE_RECORDS, origin));
    let zone: ZoneListing = client.send(&ask, console).await?;
    console.print(&zone, |zone| {
        let lines = zone.records.iter().map(|record| {
            let (name, ttl, data) = (&record.name, record.ttl_secs, &record.data);
            format!("{name} {ttl} IN {} {data}\n", record.record_type)
        });
        lines.collect()
    })
}

async fn set(args: SetArgs, client: &AdminClient, console: &mut Console) -> anyhow::Result<()> {
    let is_text = args.record_type.eq_ignore_ascii_case("TXT");
    let data = args.data.into_iter();
    let request = SetRecordsRequest {
        name: args.name,
        record_type: args.record_type,
        ttl_secs: args.ttl,
        data: data
            .map(|data| if is_text { text_data(data) } else { data })
            .collect(),
    };
    let ask = Ask::post(path::with(path::SET_RECORDS, &args.origin), &request)?;
    change(&ask, client, console).await
}

/// A text as a zone file has it: in quotes, in pieces as long as a string can be.
fn text_data(data: String) -> String {
    if data.contains('"') || data.starts_with("\\#") {
        return data;
    }
    let quoted = |piece: &[u8]| {
        let escaped = piece.iter().map(|&byte| match byte {
            b'\\' => "\\\\".to_owned(),
            b' '..=b'~' => char::from(byte).to_string(),
            _ => format!("\\{byte:03}"),
        });
        format!("\"{}\"", escaped.collect::<String>())
    };
    match data.is_empty() {
        true => quoted(&[]),
        false => {
            let pieces = data.as_bytes().chunks(STRING_SIZE_MAX).map(quoted);
            pieces.collect::<Vec<_>>().join(" ")
        }
    }
}

async fn unset(args: UnsetArgs, client: &AdminClient, console: &mut Console) -> anyhow::Result<()> {
    let request = UnsetRecordsRequest {
        name: args.name,
        record_type: args.record_type,
    };
    let ask = Ask::post(path::with(path::UNSET_RECORDS, &args.origin), &request)?;
    change(&ask, client, console).await
}

async fn import(
    args: &ImportArgs,
    client: &AdminClient,
    console: &mut Console,
) -> anyhow::Result<()> {
    let file = args.file.display();
    let text = read(&args.file).with_context(|| format!("{file} cannot be read"))?;
    let ask = Ask::post(
        path::with(path::IMPORT_ZONE, &args.origin),
        &ImportZoneRequest { text },
    )?;
    let imported = change(&ask, client, console).await;
    imported.with_context(|| format!("{file} is not imported"))
}

fn read(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let size_max = IMPORT_SIZE_MAX as u64 + 1;
    match path == Path::new(STDIN) {
        true => io::stdin().take(size_max).read_to_string(&mut text)?,
        false => File::open(path)?.take(size_max).read_to_string(&mut text)?,
    };
    if text.len() > IMPORT_SIZE_MAX {
        bail!(
            "it has more than {IMPORT_SIZE_MAX} bytes: have the configuration name it (zone_file)"
        );
    }
    Ok(text)
}

async fn change(ask: &Ask, client: &AdminClient, console: &mut Console) -> anyhow::Result<()> {
    let zone: Zone = client.send(ask, console).await?;
    let serial = zone.serial.map(|serial| format!(", serial {serial}"));
    console.note(format_args!(
        "{} has {} replicated records{}",
        zone.zone,
        zone.record_count,
        serial.unwrap_or_default()
    ));
    console.report(&zone)
}

#[cfg(test)]
#[path = "zone_tests.rs"]
pub(crate) mod tests;
