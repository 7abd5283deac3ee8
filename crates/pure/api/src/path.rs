//! Where things are.

use std::fmt::Write;

/// How the node is. GET.
pub const STATUS: &str = "/v1/status";
/// A digest over all that the node holds. GET.
pub const DIGEST: &str = "/v1/digest";
/// Who the cluster is. GET.
pub const MEMBERS: &str = "/v1/members";
/// Tokens by which a node joins. POST.
pub const INVITES: &str = "/v1/members/invites";
/// A member. DELETE.
pub const MEMBER: &str = "/v1/members/{node}";
/// Makes a learner a voter. POST.
pub const PROMOTE: &str = "/v1/members/{node}/promote";
/// Makes a voter a learner. POST.
pub const DEMOTE: &str = "/v1/members/{node}/demote";
/// Puts another node in the place of a member. POST.
pub const REPLACE: &str = "/v1/members/{node}/replace";
/// Gives a member another address. POST.
pub const MOVE: &str = "/v1/members/{node}/move";
/// Hands leadership over. POST.
pub const TRANSFER: &str = "/v1/leader/transfer";
/// The packets that the node holds, in key order. GET.
pub const PACKETS: &str = "/v1/packets";
/// A packet that the node holds. GET; DELETE to have the cluster delete it.
pub const PACKET: &str = "/v1/packets/{key}";
/// What has changed in packets behind an entry of the log. GET.
pub const CHANGES: &str = "/v1/changes";
/// The packets that were deleted and may not come back. GET.
pub const DELETIONS: &str = "/v1/deletions";
/// Who may publish. GET.
pub const POLICY: &str = "/v1/policy";
/// Sets who may publish, of those who are not denied. POST.
pub const POLICY_MODE: &str = "/v1/policy/mode";
/// The keys that are allowed. GET.
pub const ALLOWED: &str = "/v1/policy/allowed";
/// The keys that are denied. GET.
pub const DENIED: &str = "/v1/policy/denied";
/// Changes which keys are allowed or denied. POST.
pub const POLICY_KEYS: &str = "/v1/policy/keys";
/// The tokens for publishing. GET; POST to make one.
pub const PUBLISH_TOKENS: &str = "/v1/policy/tokens";
/// A token for publishing. DELETE.
pub const PUBLISH_TOKEN: &str = "/v1/policy/tokens/{name}";
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
/// Reads the configuration again. POST.
pub const RELOAD: &str = "/v1/reload";
/// What is logged. GET and PUT.
pub const LOG_FILTER: &str = "/v1/log-filter";
/// This API as an OpenAPI document. GET.
pub const OPENAPI: &str = "/v1/openapi.json";
/// Figures for Prometheus, in its text format. GET.
pub const METRICS: &str = "/metrics";

/// One of these paths with `value` in the place of what stands in braces, percent-encoded where it
/// has to be (RFC 3986, section 2).
pub fn with(path: &str, value: &str) -> String {
    let Some((before, (_, after))) = path
        .split_once('{')
        .and_then(|(before, rest)| Some((before, rest.split_once('}')?)))
    else {
        return path.to_owned();
    };
    let mut filled = before.to_owned();
    for byte in value.bytes() {
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~' => {
                filled.push(char::from(byte));
            }
            _ => write!(filled, "%{byte:02X}").expect("a string takes all"),
        }
    }
    filled + after
}
