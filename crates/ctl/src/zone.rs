//! Static records of the cluster: `quorate zone`.

use std::path::PathBuf;

use anyhow::Context;
use clap::Subcommand;
use quorate_api::{
    IMPORT_SIZE_MAX, ImportZoneRequest, ROOT_ZONE, SetRecordsRequest, UnsetRecordsRequest, Zone,
    ZoneListing, Zones, path,
};
use quorate_packet::{quoted, txt_text};
use serde::Serialize;

use crate::{
    admin::{ApiCall, Session},
    input, span,
    table::table,
};

/// The most bytes of a character string (RFC 1035, section 3.3).
const STRING_SIZE_MAX: usize = 255;

/// The advice for a zone file that is too long to import.
const TOO_LONG: &str = ": name it in the configuration instead (zone_file)";

pub(crate) const HELP: &str = "\
ORIGIN is one of dns.origins in the configuration of the node. NAME is relative to it unless it ends in a
dot; @ is the origin itself. Its SOA and NS records are in the configuration. Nothing can be set at a public
key or below one.

  quorate zone set dns.example.org www 300 A 192.0.2.1 192.0.2.2
  quorate zone set dns.example.org @ 1h MX '10 mail' '20 mail.example.net.'
  quorate zone set dns.example.org _dmarc 1h TXT 'v=DMARC1; p=reject'
  quorate zone list dns.example.org > zone
  quorate zone import dns.example.org zone";

/// Shows or changes static records.
#[derive(Debug, Subcommand)]
pub enum ZoneCommand {
    /// List the zones, or the replicated records of one as a zone file
    #[command(after_help = "\
SERIAL is the serial of the zone's SOA on this node. RECORDS counts the replicated records; those of the
configuration are not listed.")]
    List {
        /// The zone; by default all zones are listed
        #[arg(value_parser = parse_zone)]
        origin: Option<String>,
    },
    /// Set the records of one name and type, replacing the present ones
    Set {
        /// The zone
        #[arg(value_parser = parse_zone)]
        origin: String,
        /// The name
        name: String,
        /// How long resolvers may cache the records: seconds, or a span such as 10m, 1h or 7d
        #[arg(value_parser = parse_ttl)]
        ttl: u32,
        /// The type, such as A, or TYPE and its number
        #[arg(value_name = "TYPE")]
        record_type: String,
        /// The data of each record as in a zone file, one argument each: quote data with spaces. TXT data
        /// without quotes of its own is one string
        #[arg(required = true)]
        data: Vec<String>,
    },
    /// Remove the replicated records of a name, of one type or all
    Unset {
        /// The zone
        #[arg(value_parser = parse_zone)]
        origin: String,
        /// The name
        name: String,
        /// The type; by default all types
        #[arg(value_name = "TYPE")]
        record_type: Option<String>,
    },
    /// Replace all replicated records of a zone with a zone file (RFC 1035)
    #[command(after_help = "\
Imports all records or none; an error names the line. The zone file must not contain a SOA, NS records of
the zone itself, or $INCLUDE; an empty one removes all replicated records.")]
    Import {
        /// The zone
        #[arg(value_parser = parse_zone)]
        origin: String,
        /// The zone file; - for standard input
        file: PathBuf,
    },
}

/// Parses a zone for use in a path.
fn parse_zone(text: &str) -> Result<String, String> {
    match text {
        "." => Ok(ROOT_ZONE.to_owned()),
        // In a path these have another meaning (RFC 3986, section 5.2.4).
        "" | ".." => Err("a zone cannot have this name".to_owned()),
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

impl ZoneCommand {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        match self {
            Self::List { origin: None } => list_zones(session).await,
            Self::List { origin: Some(at) } => {
                let call = ApiCall::get(path::with(path::ZONE_RECORDS, &at));
                session.show(&call, zone_file).await?;
                Ok(())
            }
            Self::Set {
                origin,
                name,
                ttl: ttl_secs,
                record_type,
                mut data,
            } => {
                if record_type.eq_ignore_ascii_case("TXT") {
                    data = data.into_iter().map(text_data).collect();
                }
                let request = SetRecordsRequest {
                    name,
                    record_type,
                    ttl_secs,
                    data,
                };
                change(path::SET_RECORDS, &origin, &request, session).await
            }
            Self::Unset {
                origin,
                name,
                record_type,
            } => {
                let request = UnsetRecordsRequest { name, record_type };
                change(path::UNSET_RECORDS, &origin, &request, session).await
            }
            Self::Import { origin, file } => {
                let shown = file.display();
                let text = input::read(&file, IMPORT_SIZE_MAX, TOO_LONG);
                let text = text.with_context(|| format!("{shown} cannot be read"))?;
                let request = ImportZoneRequest { text };
                let imported = change(path::IMPORT_ZONE, &origin, &request, session).await;
                imported.with_context(|| format!("{shown} was not imported"))
            }
        }
    }
}

async fn list_zones(session: &mut Session) -> anyhow::Result<()> {
    let zones = session.show(&ApiCall::get(path::ZONES), text).await?;
    for zone in zones.zones.iter().filter(|zone| zone.serial.is_none()) {
        session.note(format_args!("the node serves no zone {}", zone.zone));
    }
    Ok(())
}

fn text(zones: &Zones) -> String {
    let row = |zone: &Zone| {
        let serial = zone.serial.map(|serial| serial.to_string());
        let count = zone.record_count.to_string();
        [zone.zone.clone(), serial.unwrap_or_default(), count]
    };
    table(["ZONE", "SERIAL", "RECORDS"], zones.zones.iter().map(row))
}

/// The records of a zone in a format that can be imported.
fn zone_file(zone: &ZoneListing) -> String {
    let lines = zone.records.iter().map(|record| {
        let (name, ttl, data) = (&record.name, record.ttl_secs, &record.data);
        format!("{name} {ttl} IN {} {data}\n", record.record_type)
    });
    lines.collect()
}

/// A text in zone file format: in quotes, split at the maximum length of a string.
fn text_data(data: String) -> String {
    if data.contains('"') || data.starts_with("\\#") {
        return data;
    }
    match data.is_empty() {
        true => quoted(&[]),
        false => txt_text(data.as_bytes().chunks(STRING_SIZE_MAX)),
    }
}

async fn change(
    at: &str,
    origin: &str,
    request: &impl Serialize,
    session: &mut Session,
) -> anyhow::Result<()> {
    let note = |zone: &Zone| {
        let serial = zone.serial.map(|serial| format!(", serial {serial}"));
        let (name, count) = (&zone.zone, zone.record_count);
        let serial = serial.unwrap_or_default();
        format!("{name} has {count} replicated records{serial}")
    };
    let call = ApiCall::post(path::with(at, origin), request);
    session.change(&call, note).await?;
    Ok(())
}

#[cfg(test)]
#[path = "zone_tests.rs"]
pub(crate) mod tests;
