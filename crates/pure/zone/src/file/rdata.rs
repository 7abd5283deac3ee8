//! The data of records, as it is written and as it stands in messages.

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

/// Why a text is no data of a type.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} is no {record_type}: {reason}")]
pub struct RdataError {
    text: String,
    record_type: String,
    reason: String,
}

/// Parses the data of a record; names in it are relative to `origin`.
///
/// # Errors
/// It is none of this type.
pub fn parse_rdata(record_type: u16, text: &str, origin: &WireName) -> Result<Bytes, RdataError> {
    let none = |reason: &str| RdataError {
        text: text.to_owned(),
        record_type: type_text(record_type),
        reason: reason.to_owned(),
    };
    let entry = format!("@ 0 {} {text}", type_text(record_type));
    if entries(&entry).count() > 1 {
        return Err(none("a record is one line"));
    }
    let scanned = EntryScanner::new(origin, 0).scan(&entry);
    let set = scanned.map_err(|reason| none(&reason))?;
    let data = set.and_then(|set| set.records.rdata.into_iter().next());
    data.ok_or_else(|| none("it is empty"))
}

/// Whether these bytes are data of a type.
pub fn is_rdata(record_type: u16, wire: &[u8]) -> bool {
    parse_wire(record_type, wire).is_some()
}

/// The data of a record as a zone file has it. What cannot be written by its fields is written as bytes.
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
