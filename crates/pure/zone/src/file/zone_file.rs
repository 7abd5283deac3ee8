//! Zone files (RFC 1035, section 5).

use std::collections::BTreeSet;

use quorate_state::{NamedSet, RecordSet, RecordSets, WireName};

use super::{entries::entries, scanner::EntryScanner};

/// How much of an entry an error quotes, in characters.
const SHOWN_LEN_MAX: usize = 80;

/// What is wrong with a zone file, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct LineError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong, in words for an operator.
    pub reason: String,
}

/// Parses a zone file. Returns each record, as a set of one that `zone` may contain, with the line
/// on which it begins, from 1. Names are relative to `zone` until an `$ORIGIN`; a record without a
/// TTL has the TTL of the last `$TTL`, of the record before, or `ttl_secs`.
///
/// `$INCLUDE` is rejected: the text may come from another machine, and must not name files here.
///
/// # Errors
/// The first line that is not valid.
pub fn parse(
    text: &str,
    zone: &WireName,
    ttl_secs: u32,
) -> Result<Vec<(usize, NamedSet)>, LineError> {
    let mut scanner = EntryScanner::new(zone, ttl_secs);
    let mut records = Vec::new();
    for (line, entry) in entries(text) {
        let in_line = |reason| LineError { line, reason };
        let scanned = scanner.scan(entry).map_err(|reason| {
            let shown: String = entry.trim().chars().take(SHOWN_LEN_MAX).collect();
            in_line(format!("{shown:?}: {reason}"))
        });
        if let Some(set) = scanned? {
            let checked = set.check_in(zone);
            checked.map_err(|error| in_line(error.to_string()))?;
            records.push((line, set));
        }
    }
    Ok(records)
}

/// Groups records by owner and type, without duplicates. If their TTLs differ, the smallest counts
/// (RFC 2181, section 5.2).
pub fn record_sets(records: impl IntoIterator<Item = NamedSet>) -> RecordSets {
    let mut sets = RecordSets::new();
    let mut seen = BTreeSet::new();
    for NamedSet {
        owner,
        record_type,
        records,
    } in records
    {
        let key = (owner, record_type);
        let set = sets.entry(key.clone()).or_insert_with(|| RecordSet {
            ttl_secs: records.ttl_secs,
            rdata: Vec::new(),
        });
        set.ttl_secs = set.ttl_secs.min(records.ttl_secs);
        let rdata = records.rdata.into_iter();
        set.rdata
            .extend(rdata.filter(|data| seen.insert((key.clone(), data.clone()))));
    }
    sets
}

#[cfg(test)]
#[path = "zone_file_tests.rs"]
mod tests;
