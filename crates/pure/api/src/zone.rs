//! Replicated records: what the cluster serves beside packets and what each node is configured with.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where these are.
pub(crate) mod path {
    /// The zones that have records beside packets. GET.
    pub const ZONES: &str = "/v1/zones";
    /// The replicated records of a zone. GET.
    pub const ZONE_RECORDS: &str = "/v1/zones/{zone}/records";
    /// Sets the records of one name and type. POST.
    pub const SET_RECORDS: &str = "/v1/zones/{zone}/set";
    /// Removes the records of a name. POST.
    pub const UNSET_RECORDS: &str = "/v1/zones/{zone}/unset";
    /// Puts a zone file in the place of all replicated records of a zone. POST.
    pub const IMPORT_ZONE: &str = "/v1/zones/{zone}/import";
}

/// The most bytes of a request to import a zone file: text of as many records as the cluster keeps.
pub const IMPORT_SIZE_MAX: usize = 1024 * 1024;

/// How long records of a zone file may be cached that say nothing of it, in seconds.
pub const ZONE_TTL_SECS_DEFAULT: u32 = 3600;

/// What stands for the root in the path of a zone: a lone dot would mean something else there.
pub const ROOT_ZONE: &str = "@";

/// The zones that the node serves, and others that have replicated records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Zones {
    /// In the order of their names.
    pub zones: Vec<Zone>,
}

/// A zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Zone {
    /// Its name, with the last dot.
    pub zone: String,
    /// The serial of its SOA here: the configured one, and one more for each change of its replicated
    /// records. Null if the node does not serve it.
    #[schema(required)]
    pub serial: Option<u32>,
    /// How many replicated records it has.
    pub record_count: usize,
}

/// The replicated records of a zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ZoneListing {
    /// Its name, with the last dot.
    pub zone: String,
    /// The serial of its SOA here. Null if the node does not serve it.
    #[schema(required)]
    pub serial: Option<u32>,
    /// Those of one name and type stand together.
    pub records: Vec<ListedRecord>,
}

/// A replicated record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListedRecord {
    /// Its name, with the last dot.
    pub name: String,
    /// How long it may be cached, in seconds.
    pub ttl_secs: u32,
    /// Its type, such as `A`; `TYPE` and its number if that has no name.
    #[serde(rename = "type")]
    pub record_type: String,
    /// Its data as in a zone file (RFC 1035, section 5).
    pub data: String,
}

/// Asks to set the records of one name and type, in the place of those that it has.
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
    /// The data of each record, as in a zone file. Names in it are relative to the zone.
    pub data: Vec<String>,
}

/// Asks to remove the replicated records of a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UnsetRecordsRequest {
    /// The name: relative to the zone unless it ends in a dot; `@` is the zone itself.
    pub name: String,
    /// The type of those that go; without it, all go.
    #[serde(rename = "type", default)]
    pub record_type: Option<String>,
}

/// Asks to put a zone file in the place of all replicated records of a zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportZoneRequest {
    /// The zone file (RFC 1035, section 5), without the SOA and the NS records of the zone itself, which
    /// are configured.
    pub text: String,
}
