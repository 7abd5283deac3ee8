//! Replicated records, and changes of them.

use std::{collections::BTreeMap, time::Duration};

use axum::{Extension, Json, response::Response};
use quorate_api as api;
use quorate_api::{
    ChangeZone, IMPORT_SIZE_MAX, ImportZoneRequest, ProblemType, ROOT_ZONE, SetRecordsRequest,
    UnsetRecordsRequest, ZONE_TTL_SECS_DEFAULT,
};
use quorate_http::{ProblemResponse, uncached};
use quorate_replica::{NamedSet, RecordSet, ReplicatedZone, WireName, ZoneChange};
use quorate_zone::file::{
    parse, parse_name, parse_rdata, parse_type, rdata_text, record_sets, type_text,
};
use tokio::time::timeout;

use crate::{
    audit::AuditSubject,
    authorize::CallerName,
    input::{JsonBody, PathParam, blocking},
    operations::operations,
    shared::{ServedZones, Shared},
};

/// How long a request waits until this node serves its change: many times a build of the largest
/// zone. With the time for the change it stays below what `quorate` waits for an answer.
const SERVE_TIMEOUT: Duration = Duration::from_secs(20);

operations! {
    "zones";

    /// The zones that this node serves, and other zones that have replicated records
    "read" get ZONES {
        responses((status = 200, description = "The zones", body = api::Zones)),
    }
    async fn zones(shared) {
        let state = shared.node.replica.zone_state();
        let served = shared.node.zones.serials();
        let mut zones: BTreeMap<&WireName, &ReplicatedZone> = state.zones.iter().collect();
        let none = ReplicatedZone::default();
        for zone in served.keys() {
            zones.entry(zone).or_insert(&none);
        }
        // Omit a zone that has no records any more and that this node does not serve.
        zones.retain(|zone, records| served.contains_key(zone) || !records.sets.is_empty());
        let zones = zones.into_iter();
        let zones = zones.map(|(zone, records)| summary(zone, records, &*shared.node.zones));
        let zones = zones.collect();
        Ok(uncached(Json(api::Zones { zones })))
    }

    /// The replicated records of a zone
    "read" get ZONE_RECORDS or UnknownZone {
        responses((status = 200, description = "The records", body = api::ZoneListing)),
    }
    async fn records(shared, PathParam(zone): PathParam) {
        let zone = parse_zone(&zone)?;
        let state = shared.node.replica.zone_state();
        let serials = shared.node.zones.serials();
        let agreed = state.zones.get(&zone);
        if agreed.is_none() && !serials.contains_key(&zone) {
            return Err(not_served(&zone, &serials));
        }
        let none = ReplicatedZone::default();
        let agreed = agreed.unwrap_or(&none);
        let sets = agreed.sets.iter();
        let records = sets.flat_map(|((owner, record_type), set)| {
            let rdata = set.rdata.iter();
            rdata.map(|data| api::ListedRecord {
                name: owner.to_string(),
                ttl_secs: set.ttl_secs,
                record_type: type_text(*record_type),
                data: rdata_text(*record_type, data),
            })
        });
        Ok(uncached(Json(api::ZoneListing {
            zone: zone.to_string(),
            serial: serial(&zone, agreed, &*shared.node.zones),
            records: records.collect(),
        })))
    }

    /// Replaces the replicated records of one name and type
    "operate" post SET_RECORDS sends ChangeZone or UnknownZone or NotServed {
        operation_id = "set_records",
        request_body = SetRecordsRequest,
        responses((status = 200, description = "The zone now", body = api::Zone)),
    }
    async fn set(shared, caller: CallerName, PathParam(zone): PathParam, JsonBody(request): JsonBody<SetRecordsRequest>) {
        let zone = parse_zone(&zone)?;
        let owner = parse_name(&request.name, &zone).map_err(refused_zone)?;
        let record_type = known_type(&request.record_type)?;
        let data = request.data.iter();
        let rdata = data.map(|data| parse_rdata(record_type, data, &zone).map_err(refused_zone));
        let records = RecordSet {
            ttl_secs: request.ttl_secs,
            rdata: rdata.collect::<Result<_, _>>()?,
        };
        let set = NamedSet {
            owner,
            record_type,
            records,
        };
        check_served(&shared, &zone)?;
        // The set must be compatible with the configuration of this node.
        shared.node.zones.check(&zone, &set).map_err(refused_zone)?;
        let change = ZoneChange {
            set: vec![set],
            ..change_of(zone)
        };
        apply_change(&shared, &caller, change).await
    }

    /// Removes the replicated records of a name
    "operate" post UNSET_RECORDS sends ChangeZone or NotServed {
        operation_id = "unset_records",
        request_body = UnsetRecordsRequest,
        responses((status = 200, description = "The zone now", body = api::Zone)),
    }
    async fn unset(shared, caller: CallerName, PathParam(zone): PathParam, JsonBody(request): JsonBody<UnsetRecordsRequest>) {
        let zone = parse_zone(&zone)?;
        let owner = parse_name(&request.name, &zone).map_err(refused_zone)?;
        let record_type = request.record_type.as_deref();
        let record_type = record_type.map(known_type).transpose()?;
        let change = ZoneChange {
            unset: vec![(owner, record_type)],
            ..change_of(zone)
        };
        apply_change(&shared, &caller, change).await
    }

    /// Replaces all replicated records of a zone by those of a zone file
    ///
    /// In one step, or not at all. An empty file removes all records.
    "operate" post IMPORT_ZONE up to IMPORT_SIZE_MAX sends ChangeZone or UnknownZone or NotServed {
        operation_id = "import_zone",
        request_body = ImportZoneRequest,
        responses((status = 200, description = "The zone now", body = api::Zone)),
    }
    async fn import(shared, caller: CallerName, PathParam(zone): PathParam, JsonBody(request): JsonBody<ImportZoneRequest>) {
        let zone = parse_zone(&zone)?;
        // A request can have so many lines that parsing them would block the runtime for too long.
        let reading = (shared.clone(), zone.clone());
        let set = blocking(move || read_zone_file(&reading.0, &reading.1, &request.text)).await?;
        let change = ZoneChange {
            clear: true,
            set,
            ..change_of(zone)
        };
        apply_change(&shared, &caller, change).await
    }
}

/// Parses the sets of a zone file. Errors of single records have their line. The cluster checks all
/// records together later.
fn read_zone_file(
    shared: &Shared,
    zone: &WireName,
    text: &str,
) -> Result<Vec<NamedSet>, ProblemResponse> {
    let records = parse(text, zone, ZONE_TTL_SECS_DEFAULT).map_err(refused_zone)?;
    if !records.is_empty() {
        check_served(shared, zone)?;
    }
    for (line, set) in &records {
        let checked = shared.node.zones.check(zone, set);
        checked.map_err(|detail| refused_zone(format!("line {line}: {detail}")))?;
    }
    let sets = record_sets(records.into_iter().map(|(_, set)| set)).into_iter();
    let named = |((owner, record_type), records)| NamedSet {
        owner,
        record_type,
        records,
    };
    Ok(sets.map(named).collect())
}

fn change_of(zone: WireName) -> ZoneChange {
    ZoneChange {
        zone,
        clear: false,
        unset: Vec::new(),
        set: Vec::new(),
    }
}

/// Makes the change, waits until this node serves it, and answers with the zone after it.
async fn apply_change(
    shared: &Shared,
    caller: &CallerName,
    change: ZoneChange,
) -> Result<Response, ProblemResponse> {
    let zone = change.zone.clone();
    shared.submit(caller, ChangeZone { change }).await?;
    let version = shared.node.replica.zone_version();
    if timeout(SERVE_TIMEOUT, shared.node.zones.served(version))
        .await
        .is_err()
    {
        let detail = format!(
            "the change of {zone} is committed, but this node does not serve it after {} s: it is still \
             building its zones. Repeat the request: it changes nothing more, and waits again",
            SERVE_TIMEOUT.as_secs()
        );
        return Err(ProblemResponse::new(ProblemType::NotServed, detail));
    }
    let state = shared.node.replica.zone_state();
    let none = ReplicatedZone::default();
    let records = state.zones.get(&zone).unwrap_or(&none);
    let report = summary(&zone, records, &*shared.node.zones);
    let subject = Extension(AuditSubject(report.zone.clone()));
    Ok(uncached((subject, Json(report))))
}

/// Rejects a zone that this node does not serve. A warning is not enough, because a misspelt name
/// would be replicated to all nodes and served by none.
fn check_served(shared: &Shared, zone: &WireName) -> Result<(), ProblemResponse> {
    let serials = shared.node.zones.serials();
    match serials.contains_key(zone) {
        true => Ok(()),
        false => Err(not_served(zone, &serials)),
    }
}

fn not_served(zone: &WireName, serials: &BTreeMap<WireName, u32>) -> ProblemResponse {
    let served: Vec<String> = serials.keys().map(ToString::to_string).collect();
    let served = match served.is_empty() {
        true => "none".to_owned(),
        false => served.join(", "),
    };
    let detail = format!(
        "this node serves no zone {zone}: add it to dns.origins on all nodes, or use one of the zones \
         that it serves: {served}"
    );
    ProblemResponse::new(ProblemType::UnknownZone, detail)
}

fn summary(zone: &WireName, records: &ReplicatedZone, served: &dyn ServedZones) -> api::Zone {
    let counts = records.sets.values().map(|set| set.rdata.len());
    api::Zone {
        zone: zone.to_string(),
        serial: serial(zone, records, served),
        record_count: counts.sum(),
    }
}

fn serial(zone: &WireName, records: &ReplicatedZone, served: &dyn ServedZones) -> Option<u32> {
    let configured = served.serials().get(zone).copied();
    configured.map(|configured| configured.wrapping_add(records.serial))
}

fn parse_zone(text: &str) -> Result<WireName, ProblemResponse> {
    if text == ROOT_ZONE {
        return Ok(WireName::root());
    }
    parse_name(text, &WireName::root()).map_err(|error| {
        let detail = format!("{text:?} is not a valid name of a zone: {error}");
        ProblemResponse::new(ProblemType::BadRequest, detail)
    })
}

fn known_type(text: &str) -> Result<u16, ProblemResponse> {
    parse_type(text).ok_or_else(|| {
        let detail = format!(
            "{text:?} is not a type of records that can be set: use a type such as A or TXT, or TYPE \
             and its number. The SOA can only be configured"
        );
        ProblemResponse::new(ProblemType::RefusedZone, detail)
    })
}

fn refused_zone(detail: impl ToString) -> ProblemResponse {
    ProblemResponse::new(ProblemType::RefusedZone, detail.to_string())
}

#[cfg(test)]
#[path = "zones_tests.rs"]
mod tests;
