//! Converts the data of records between text and wire form.

use std::fmt::Write;

use bytes::Bytes;
use domain::base::zonefile_fmt::{DisplayKind, ZonefileFmt};
use quorate_state::WireName;

use super::{
    codec,
    entries::entries,
    name::type_text,
    scanner::{Data, EntryScanner, generic_text, parse_wire},
};

/// Why a text is not valid data of a type.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} is not valid {record_type} data: {reason}")]
pub struct RdataError {
    text: String,
    record_type: String,
    reason: String,
}

/// Parses the data of a record. Names in it are relative to `origin`.
///
/// # Errors
/// The text is not valid for the type.
pub fn parse_rdata(record_type: u16, text: &str, origin: &WireName) -> Result<Bytes, RdataError> {
    let error = |reason: &str| RdataError {
        text: text.to_owned(),
        record_type: type_text(record_type),
        reason: reason.to_owned(),
    };
    let entry = format!("@ 0 {} {text}", type_text(record_type));
    if entries(&entry).count() > 1 {
        return Err(error("a record must be on one line"));
    }
    let scanned = EntryScanner::new(origin, 0).scan(&entry);
    let set = scanned.map_err(|reason| error(&reason))?;
    let data = set.and_then(|set| set.records.rdata.into_iter().next());
    data.ok_or_else(|| error("it is empty"))
}

/// Whether these bytes are valid data of a type.
pub fn is_rdata(record_type: u16, wire: &[u8]) -> bool {
    parse_wire(record_type, wire).is_some()
}

/// The data of a record in zone file form. Data that the fields cannot express is written in hex.
pub fn rdata_text(record_type: u16, wire: &[u8]) -> String {
    let root = WireName::root();
    let is_same = |text: &String| {
        let parsed = parse_rdata(record_type, text, &root);
        // Names are parsed to lower case.
        parsed.is_ok_and(|parsed| parsed.eq_ignore_ascii_case(wire))
    };
    let by_fields = fields_text(record_type, wire).filter(is_same);
    by_fields.unwrap_or_else(|| generic_text(wire))
}

fn fields_text(record_type: u16, wire: &[u8]) -> Option<String> {
    let data = match parse_wire(record_type, wire)? {
        Data::Unknown(_) => return codec::text(record_type, wire),
        data => data,
    };
    let mut text = String::new();
    write!(text, "{}", data.display_zonefile(DisplayKind::Simple)).ok()?;
    Some(text.trim_end().to_owned())
}

#[cfg(test)]
#[path = "rdata_tests.rs"]
mod tests;
