//! What must hold of an origin before it is served.

use std::collections::{BTreeMap, BTreeSet};

use hickory_proto::rr::{DNSClass, Name, Record, RecordType};
use quorate_packet::PublicKey;

use crate::{
    origin::{Origin, OriginError, TTL_SECS_MAX},
    rdata,
};

/// Checks an origin by itself, and beside those whose names are at least as long.
pub(crate) fn check(origin: &Origin, longer: &[Origin]) -> Result<(), OriginError> {
    check_times(origin)?;
    for server in origin.ns_addresses.keys() {
        check_server(origin, server)?;
    }
    for record in &origin.records {
        check_record(origin, record)?;
    }
    for other in longer {
        check_pair(origin, other)?;
    }
    check_coexistence(origin)
}

fn check_times(origin: &Origin) -> Result<(), OriginError> {
    let times = [
        ("ttl", origin.ttl_secs),
        ("the TTL of the SOA", origin.soa_ttl_secs),
        ("refresh", origin.soa.refresh_secs),
        ("retry", origin.soa.retry_secs),
        ("expire", origin.soa.expire_secs),
        ("minimum", origin.soa.minimum_secs),
        ("the least TTL", origin.ttl_secs_min),
        ("the largest TTL", origin.ttl_secs_max),
    ];
    let of_records = origin.records.iter().map(|record| ("a record", record.ttl));
    let mut times = times.into_iter().chain(of_records);
    if let Some((field, secs)) = times.find(|(_, secs)| *secs > TTL_SECS_MAX) {
        return Err(OriginError::TooLong {
            origin: origin.name.to_string(),
            field,
            secs,
        });
    }
    match origin.ttl_secs_min > origin.ttl_secs_max {
        false => Ok(()),
        true => Err(OriginError::TtlRange {
            origin: origin.name.to_string(),
            min: origin.ttl_secs_min,
            max: origin.ttl_secs_max,
        }),
    }
}

fn check_server(origin: &Origin, server: &Name) -> Result<(), OriginError> {
    let fields = || (server.to_string(), origin.name.to_string());
    if !origin.name.zone_of(server) {
        let (server, origin) = fields();
        return Err(OriginError::ServerOutside { server, origin });
    }
    if is_below_key(&origin.name, server) {
        let (server, origin) = fields();
        return Err(OriginError::ServerBelowKey { server, origin });
    }
    Ok(())
}

fn check_record(origin: &Origin, record: &Record) -> Result<(), OriginError> {
    let fields = || (record.name.to_string(), origin.name.to_string());
    let (owner, name) = (&record.name, &origin.name);
    if !name.zone_of(owner) {
        let (owner, origin) = fields();
        return Err(OriginError::RecordOutside { owner, origin });
    }
    if is_below_key(name, owner) {
        let (owner, origin) = fields();
        return Err(OriginError::RecordBelowKey { owner, origin });
    }
    let what = match record.dns_class {
        DNSClass::IN if rdata::is_data(record.record_type().into()) => return Ok(()),
        DNSClass::IN => format!("type {}", record.record_type()),
        class => format!("class {class}"),
    };
    let (owner, origin) = fields();
    Err(OriginError::RecordKind {
        owner,
        origin,
        what,
    })
}

/// Whether a name of an origin is that of a key, or lies below it.
fn is_below_key(origin: &Name, name: &Name) -> bool {
    let above = name.iter().rev().nth(origin.iter().len());
    above.is_some_and(|label| PublicKey::parse_z32(label).is_ok())
}

fn check_pair(origin: &Origin, longer: &Origin) -> Result<(), OriginError> {
    if origin.name == longer.name {
        return Err(OriginError::Duplicate(origin.name.to_string()));
    }
    let mut servers = origin.ns_addresses.keys();
    if let Some(server) = servers.find(|server| longer.name.zone_of(server)) {
        return Err(OriginError::ServerOfOther {
            server: server.to_string(),
            origin: origin.name.to_string(),
            inner: longer.name.to_string(),
        });
    }
    let mut records = origin.records.iter();
    match records.find(|record| longer.name.zone_of(&record.name)) {
        None => Ok(()),
        Some(record) => Err(OriginError::RecordOfOther {
            owner: record.name.to_string(),
            origin: origin.name.to_string(),
            inner: longer.name.to_string(),
        }),
    }
}

/// Checks what stands beside what.
fn check_coexistence(origin: &Origin) -> Result<(), OriginError> {
    let records = origin.all_records();
    let mut aliases = BTreeMap::new();
    let mut dnames: BTreeSet<&Name> = BTreeSet::new();
    for record in &records {
        match record.record_type() {
            RecordType::CNAME => {
                aliases.entry(&record.name).or_insert(record);
            }
            RecordType::DNAME if !dnames.insert(&record.name) => {
                return Err(OriginError::DnameTwice {
                    owner: record.name.to_string(),
                    origin: origin.name.to_string(),
                });
            }
            _ => {}
        }
    }
    for record in &records {
        if let Some(alias) = aliases.get(&record.name)
            && !std::ptr::eq(*alias, record)
        {
            return Err(OriginError::AliasBeside {
                owner: record.name.to_string(),
                origin: origin.name.to_string(),
                other: record.record_type().to_string(),
            });
        }
        if let Some(dname) = dname_above(&dnames, record, &origin.name) {
            return Err(OriginError::BelowDname {
                owner: record.name.to_string(),
                origin: origin.name.to_string(),
                dname: dname.to_string(),
            });
        }
    }
    Ok(())
}

/// The DNAME that hides a record.
fn dname_above(dnames: &BTreeSet<&Name>, record: &Record, origin: &Name) -> Option<Name> {
    if dnames.is_empty() {
        return None;
    }
    let depth = record.name.iter().len().checked_sub(origin.iter().len())?;
    let above = (1..=depth).scan(record.name.clone(), |name, _| {
        *name = name.base_name();
        Some(name.clone())
    });
    above.into_iter().find(|name| dnames.contains(name))
}
