//! Replicated records: DNS records that the cluster serves in addition to packets and to the
//! configured records of each node.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The paths of these requests.
pub(crate) mod path {
    /// The zones that can have replicated records. GET.
    pub const ZONES: &str = "/v1/zones";
    /// The replicated records of a zone. GET.
    pub const ZONE_RECORDS: &str = "/v1/zones/{zone}/records";
    /// Sets the records of one name and type. POST.
    pub const SET_RECORDS: &str = "/v1/zones/{zone}/set";
    /// Removes the records of a name. POST.
    pub const UNSET_RECORDS: &str = "/v1/zones/{zone}/unset";
    /// Replaces all replicated records of a zone by those of a zone file. POST.
    pub const IMPORT_ZONE: &str = "/v1/zones/{zone}/import";
}

/// The most bytes of a request to import a zone file: enough for the most records that the cluster
/// keeps.
pub const IMPORT_SIZE_MAX: usize = 1024 * 1024;

/// The TTL of records of a zone file that have none, in seconds.
pub const ZONE_TTL_SECS_DEFAULT: u32 = 3600;

/// The name of the root zone in a path, where a lone dot would mean the same directory.
pub const ROOT_ZONE: &str = "@";

/// The zones that the node serves, and other zones that have replicated records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Zones {
    /// The zones in the order of their names.
    pub zones: Vec<Zone>,
}

/// A zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Zone {
    /// Its name, with a dot at the end.
    pub zone: String,
    /// The serial of its SOA on this node: the configured one plus the number of changes of its
    /// replicated records. Null if the node does not serve it.
    #[schema(required)]
    pub serial: Option<u32>,
    /// How many replicated records it has.
    pub record_count: usize,
}

/// The replicated records of a zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ZoneListing {
    /// Its name, with a dot at the end.
    pub zone: String,
    /// The serial of its SOA on this node. Null if the node does not serve it.
    #[schema(required)]
    pub serial: Option<u32>,
    /// The records, grouped by name and type.
    pub records: Vec<ListedRecord>,
}

/// A replicated record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListedRecord {
    /// Its name, with a dot at the end.
    pub name: String,
    /// How long it may be cached, in seconds.
    pub ttl_secs: u32,
    /// Its type, such as `A`, or `TYPE` and its number if the type has no name.
    #[serde(rename = "type")]
    pub record_type: String,
    /// Its data in the format of zone files (RFC 1035, section 5).
    pub data: String,
}

/// Asks to replace all replicated records of one name and type by these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetRecordsRequest {
    /// The name: relative to the zone unless it ends in a dot; `@` is the zone itself.
    pub name: String,
    /// The type, such as `A`, or `TYPE` and its number.
    #[serde(rename = "type")]
    pub record_type: String,
    /// How long they may be cached, in seconds.
    pub ttl_secs: u32,
    /// The data of each record, in the format of zone files. Names in it are relative to the zone.
    pub data: Vec<String>,
}

/// Asks to remove the replicated records of a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UnsetRecordsRequest {
    /// The name: relative to the zone unless it ends in a dot; `@` is the zone itself.
    pub name: String,
    /// The type of the records to remove. By default, all types.
    #[serde(rename = "type", default)]
    pub record_type: Option<String>,
}

/// Asks to replace all replicated records of a zone by those of a zone file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportZoneRequest {
    /// The zone file (RFC 1035, section 5), without the SOA and NS records of the zone itself:
    /// those are configured.
    pub text: String,
}
