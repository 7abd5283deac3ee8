//! Zone files (RFC 1035, section 5).

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use hickory_proto::serialize::txt::parse_ttl;
use quorate_state::{NamedSet, RecordSet, WireName};

use super::{
    entry::{Entry, entries},
    name::parse_name,
    parse_type,
    rdata::parse_tokens,
};

/// A record, and where it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneRecord {
    /// The line on which it begins, from 1.
    pub line: usize,
    /// The name it stands at.
    pub owner: WireName,
    pub record_type: u16,
    /// How long it may be cached, in seconds.
    pub ttl_secs: u32,
    /// Its data in wire form, without compression.
    pub rdata: Bytes,
}

/// What is wrong with a zone file, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct LineError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong, in words for an operator.
    pub reason: String,
}

/// Parses a zone file. Names are relative to `origin` until an `$ORIGIN` says otherwise; a record
/// without a TTL has that of the last `$TTL`, of the record before, or `ttl_secs`.
///
/// There is no `$INCLUDE`: what is parsed may come from elsewhere, and names no files here.
///
/// # Errors
/// The first line that is none.
pub fn parse(text: &str, origin: &WireName, ttl_secs: u32) -> Result<Vec<ZoneRecord>, LineError> {
    let entries = entries(text).map_err(|(line, error)| LineError {
        line,
        reason: error.to_string(),
    })?;
    let mut reader = Reader {
        origin: origin.clone(),
        owner: None,
        ttl_secs,
        has_default_ttl: false,
        records: Vec::new(),
    };
    for entry in &entries {
        let line = entry.line;
        let read = reader.read(entry);
        read.map_err(|reason| LineError { line, reason })?;
    }
    Ok(reader.records)
}

struct Reader {
    origin: WireName,
    owner: Option<WireName>,
    ttl_secs: u32,
    /// Whether a `$TTL` has said it (RFC 2308, section 4).
    has_default_ttl: bool,
    records: Vec<ZoneRecord>,
}

impl Reader {
    fn read(&mut self, entry: &Entry) -> Result<(), String> {
        let [first, rest @ ..] = &entry.tokens[..] else {
            return Ok(());
        };
        match (first.as_str(), rest) {
            ("$ORIGIN", [name]) => {
                let name = parse_name(name, &self.origin);
                self.origin = name.map_err(|error| error.to_string())?;
            }
            ("$TTL", [ttl]) => {
                self.ttl_secs = ttl_of(ttl).ok_or_else(|| format!("{ttl:?} is no time"))?;
                self.has_default_ttl = true;
            }
            ("$INCLUDE", _) => {
                return Err("no other file is included: put its records here".to_owned());
            }
            (directive, _) if directive.starts_with('$') => {
                return Err(format!(
                    "{directive} is no directive with one word behind it"
                ));
            }
            _ if entry.is_indented => self.read_record(entry.line, &entry.tokens)?,
            _ => {
                let owner = parse_name(first, &self.origin);
                self.owner = Some(owner.map_err(|error| error.to_string())?);
                self.read_record(entry.line, rest)?;
            }
        }
        Ok(())
    }

    /// Reads what follows the owner: TTL and class in any order, type and data.
    fn read_record(&mut self, line: usize, mut tokens: &[String]) -> Result<(), String> {
        let owner = self.owner.clone();
        let owner = owner.ok_or("the first record names no owner")?;
        let mut ttl_secs = None;
        let mut has_class = false;
        let record_type = loop {
            let [token, rest @ ..] = tokens else {
                return Err(format!("the record of {owner} has no type"));
            };
            tokens = rest;
            if let Some(ttl) = ttl_of(token).filter(|_| ttl_secs.is_none()) {
                ttl_secs = Some(ttl);
            } else if token.eq_ignore_ascii_case("IN") && !has_class {
                has_class = true;
            } else {
                break parse_type(token).ok_or_else(|| no_type(token))?;
            }
        };
        let rdata = parse_tokens(record_type, tokens, &self.origin);
        let rdata = rdata.map_err(|error| error.to_string())?;
        let ttl_secs_of_record = ttl_secs.unwrap_or(self.ttl_secs);
        if !self.has_default_ttl {
            self.ttl_secs = ttl_secs_of_record;
        }
        self.records.push(ZoneRecord {
            line,
            owner,
            record_type,
            ttl_secs: ttl_secs_of_record,
            rdata,
        });
        Ok(())
    }
}

fn no_type(token: &str) -> String {
    match token.to_ascii_uppercase().as_str() {
        "SOA" => "the SOA is configured: leave it out".to_owned(),
        "CH" | "HS" | "CS" => format!("{token} is a class that is not served"),
        _ => format!(
            "{token:?} is no type of records: another can be written as TYPE and its number"
        ),
    }
}

/// Seconds, or with units as in `1h30m`.
fn ttl_of(token: &str) -> Option<u32> {
    parse_ttl(token).ok()
}

/// Sets of the records, in the order of owners and types. Where their TTLs differ, the smallest counts
/// (RFC 2181, section 5.2).
pub fn record_sets(records: impl IntoIterator<Item = ZoneRecord>) -> Vec<NamedSet> {
    let mut sets = BTreeMap::<(WireName, u16), RecordSet>::new();
    let mut seen = BTreeSet::new();
    for record in records {
        let key = (record.owner, record.record_type);
        let is_new = seen.insert((key.clone(), record.rdata.clone()));
        let set = sets.entry(key).or_insert_with(|| RecordSet {
            ttl_secs: record.ttl_secs,
            rdata: Vec::new(),
        });
        set.ttl_secs = set.ttl_secs.min(record.ttl_secs);
        if is_new {
            set.rdata.push(record.rdata);
        }
    }
    let named = |((owner, record_type), records)| NamedSet {
        owner,
        record_type,
        records,
    };
    sets.into_iter().map(named).collect()
}

#[cfg(test)]
#[path = "zone_file_tests.rs"]
mod tests;
