//! The TXT records that answer challenges (RFC 8555, section 8.4).

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use quorate_replica::{NamedSet, RecordSet, WireName, ZoneChange, ZoneState};
use quorate_zone::file::parse_name;

use crate::{
    documents::ChallengeRecord,
    names::{CertificateName, TXT},
};

/// How long resolvers may keep them, in seconds. The authority must not see those of an earlier order.
const CHALLENGE_TTL_SECS: u32 = 1;

/// Collects the values by name: a wildcard and its base name share one.
pub(crate) fn records<'n>(
    values: impl IntoIterator<Item = (&'n CertificateName, String)>,
) -> Vec<ChallengeRecord> {
    let mut by_owner: BTreeMap<(&WireName, &WireName), BTreeSet<String>> = BTreeMap::new();
    for (name, value) in values {
        by_owner
            .entry((&name.zone, &name.owner))
            .or_default()
            .insert(value);
    }
    let records = by_owner
        .into_iter()
        .map(|((zone, owner), values)| ChallengeRecord {
            zone: zone.to_string(),
            owner: owner.to_string(),
            values: values.into_iter().collect(),
        });
    records.collect()
}

/// The changes after which the zones have these values, or do not. One for each zone that does not comply yet. All
/// other records stay, and so do other values at the same names.
pub(crate) fn changes(
    state: &ZoneState,
    records: &[ChallengeRecord],
    are_wanted: bool,
) -> Vec<ZoneChange> {
    let mut changes: BTreeMap<WireName, ZoneChange> = BTreeMap::new();
    for record in records {
        let parse = |text: &str| parse_name(text, &WireName::root()).ok();
        let (Some(zone), Some(owner)) = (parse(&record.zone), parse(&record.owner)) else {
            continue;
        };
        let key = (owner.clone(), TXT);
        let before = state.zones.get(&zone).and_then(|zone| zone.sets.get(&key));
        let mut rdata = before.map(|set| set.rdata.clone()).unwrap_or_default();
        let count = rdata.len();
        let values = record.values.iter().map(|value| rdata_of(value));
        match are_wanted {
            true => {
                let new: Vec<_> = values.filter(|value| !rdata.contains(value)).collect();
                rdata.extend(new);
            }
            false => {
                let values: Vec<_> = values.collect();
                rdata.retain(|value| !values.contains(value));
            }
        }
        if rdata.len() == count {
            continue;
        }
        let change = changes.entry(zone.clone()).or_insert_with(|| ZoneChange {
            zone,
            clear: false,
            unset: Vec::new(),
            set: Vec::new(),
        });
        match rdata.is_empty() {
            true => change.unset.push((owner, Some(TXT))),
            false => change.set.push(NamedSet {
                owner,
                record_type: TXT,
                records: RecordSet {
                    ttl_secs: before.map_or(CHALLENGE_TTL_SECS, |set| set.ttl_secs),
                    rdata,
                },
            }),
        }
    }
    changes.into_values().collect()
}

/// A character string (RFC 1035, section 3.3.14).
fn rdata_of(value: &str) -> Bytes {
    let text = value.as_bytes();
    let text = &text[..text.len().min(usize::from(u8::MAX))];
    [&[text.len() as u8], text].concat().into()
}

#[cfg(test)]
#[path = "challenge_tests.rs"]
mod tests;
