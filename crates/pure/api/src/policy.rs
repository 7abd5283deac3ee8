//! Who may publish, and which packets were deleted.

use std::fmt;

pub use quorate_state::PublishMode;
use serde::{Deserialize, Serialize};
use utoipa::{
    ToSchema,
    openapi::{Object, ObjectBuilder, schema::Type},
};

/// The paths of these requests.
pub(crate) mod path {
    /// The packets that were deleted and cannot be stored again. GET.
    pub const DELETIONS: &str = "/v1/deletions";
    /// Who may publish. GET.
    pub const POLICY: &str = "/v1/policy";
    /// Sets the publish mode. POST.
    pub const POLICY_MODE: &str = "/v1/policy/mode";
    /// The keys that are allowed. GET.
    pub const ALLOWED: &str = "/v1/policy/allowed";
    /// The keys that are denied. GET.
    pub const DENIED: &str = "/v1/policy/denied";
    /// Changes which keys are allowed or denied. POST.
    pub const POLICY_KEYS: &str = "/v1/policy/keys";
    /// The tokens for publishing. GET; POST creates one.
    pub const PUBLISH_TOKENS: &str = "/v1/policy/tokens";
    /// A token for publishing. DELETE removes it.
    pub const PUBLISH_TOKEN: &str = "/v1/policy/tokens/{name}";
}

/// The most keys of one request, because a request is one entry of the log. Clients send more keys
/// in several requests.
pub const POLICY_KEY_COUNT_MAX: usize = 4_096;

/// The most bytes of a request that lists keys: enough for the most keys, with room for white
/// space.
pub const POLICY_KEYS_SIZE_MAX: usize = 512 * 1024;

/// The longest name of a token for publishing, in characters.
pub const PUBLISH_TOKEN_NAME_LEN_MAX: usize = 64;

/// The longest time for which a key can be blocked when its packet is deleted, in seconds: a year.
/// To block a key for good, deny it.
pub const BLOCK_SECS_MAX: u64 = 366 * 24 * 3600;

/// Who may publish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Policy {
    /// Which keys may publish, of those that are not denied.
    #[schema(schema_with = publish_mode)]
    pub mode: PublishMode,
    /// How many keys are allowed in every mode.
    pub allowed_count: usize,
    /// How many keys are denied in every mode.
    pub denied_count: usize,
    /// How many tokens there are.
    pub token_count: usize,
    /// How many deleted packets cannot be stored again.
    pub deletion_count: usize,
}

fn publish_mode() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(
            "Which keys may publish, of those that are not denied.",
        ))
        .enum_values(Some(["open", "allow_list", "tokens"]))
        .build()
}

/// Asks to change the publish mode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishModeRequest {
    /// The new mode.
    #[schema(schema_with = publish_mode)]
    pub mode: PublishMode,
}

/// A change of the keys that are allowed or denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeysChange {
    /// The keys may publish in every mode, unless they are also denied.
    Allow,
    /// The keys are no longer allowed.
    Disallow,
    /// The keys may not publish in any mode. Their stored packets stay until they are deleted or
    /// expire.
    Deny,
    /// The keys are no longer denied.
    Undeny,
}

/// Asks to change which keys are allowed or denied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishKeysRequest {
    /// The change.
    pub change: KeysChange,
    /// The keys, in z-base-32: 1 to 4,096.
    #[schema(min_items = 1, max_items = 4_096)]
    pub keys: Vec<String>,
}

/// Some of the keys of a list, in the order of their bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyPage {
    /// The keys, in z-base-32.
    pub keys: Vec<String>,
    /// The value of `after` for the next page, if there is one.
    #[schema(required)]
    pub next: Option<String>,
}

/// Asks for a token for publishing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishTokenRequest {
    /// Its name: 1 to 64 letters, digits, hyphens, underscores and dots. The first character is a
    /// letter or a digit.
    #[schema(min_length = 1, max_length = 64)]
    pub name: String,
}

/// A token for publishing.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewPublishToken {
    /// Its name.
    pub name: String,
    /// The token that publishers send as `Authorization: Bearer`. It is returned only here: the
    /// cluster keeps its SHA-256.
    pub token: String,
}

/// Omits the token, which must not appear in a log.
impl fmt::Debug for NewPublishToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewPublishToken")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// The tokens for publishing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PublishTokens {
    /// Their names.
    pub names: Vec<String>,
}

/// The result of a deletion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Deleted {
    /// The key, in z-base-32.
    pub key: String,
    /// Whether a packet was stored.
    pub was_stored: bool,
}

/// A packet that was deleted. Neither it nor an older one can be stored again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeletedPacket {
    /// The key, in z-base-32.
    pub key: String,
    /// Packets with this timestamp or an older one are rejected: microseconds since 1970.
    pub timestamp_us: u64,
    /// The time until which the key may not publish at all, in milliseconds since 1970. Null if it
    /// may.
    #[schema(required)]
    pub blocked_until_ms: Option<u64>,
}

/// Some of the packets that were deleted, in the order of their keys' bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeletionPage {
    /// The packets.
    pub deletions: Vec<DeletedPacket>,
    /// The value of `after` for the next page, if there is one.
    #[schema(required)]
    pub next: Option<String>,
}

/// Checks the name of a token for publishing, which appears in paths and in the audit log.
///
/// # Errors
/// The name is invalid. The error says which names are valid.
pub fn parse_publish_token_name(name: &str) -> Result<String, String> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_name = name.len() <= PUBLISH_TOKEN_NAME_LEN_MAX
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.bytes().all(is_allowed);
    is_name.then(|| name.to_owned()).ok_or_else(|| {
        format!(
            "`{name}` is not a valid name of a token: use 1 to {PUBLISH_TOKEN_NAME_LEN_MAX} letters, \
             digits, hyphens, underscores and dots, and begin with a letter or a digit"
        )
    })
}
