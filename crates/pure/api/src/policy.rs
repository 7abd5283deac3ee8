//! Who may publish, and which packets were deleted.

use std::fmt;

pub use quorate_state::PublishMode;
use serde::{Deserialize, Serialize};
use utoipa::{
    ToSchema,
    openapi::{Object, ObjectBuilder, schema::Type},
};

/// Where these are.
pub(crate) mod path {
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
}

/// The most keys of one request, which is one entry of the log. More are sent one after another.
pub const POLICY_KEY_COUNT_MAX: usize = 4_096;

/// The most bytes of a request that lists keys: as many as it may have, with room for white space.
pub const POLICY_KEYS_SIZE_MAX: usize = 512 * 1024;

/// The longest name of a token for publishing, in characters.
pub const PUBLISH_TOKEN_NAME_LEN_MAX: usize = 64;

/// The longest time that a key can be blocked for as its packet is deleted, in seconds: a year. To lock
/// it out for good, deny it.
pub const BLOCK_SECS_MAX: u64 = 366 * 24 * 3600;

/// Who may publish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Policy {
    /// Who may, of those who are not denied.
    #[schema(schema_with = publish_mode)]
    pub mode: PublishMode,
    /// How many keys are allowed in whatever mode.
    pub allowed_count: usize,
    /// How many keys are denied in whatever mode.
    pub denied_count: usize,
    /// How many tokens there are.
    pub token_count: usize,
    /// How many deleted packets are kept from coming back.
    pub deletion_count: usize,
}

fn publish_mode() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some("Who may publish, of those who are not denied."))
        .enum_values(Some(["open", "allow_list", "tokens"]))
        .build()
}

/// Asks for another mode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishModeRequest {
    /// Which.
    #[schema(schema_with = publish_mode)]
    pub mode: PublishMode,
}

/// How the keys that are allowed or denied change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeysChange {
    /// They may publish in whatever mode, unless they are denied too.
    Allow,
    /// They are allowed no more.
    Disallow,
    /// They may not publish in whatever mode. What is stored of them stays until it is deleted or
    /// expires.
    Deny,
    /// They are denied no more.
    Undeny,
}

/// Asks to change which keys are allowed or denied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishKeysRequest {
    /// How.
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
    /// What to give as `after` for the next page, if there is one.
    #[schema(required)]
    pub next: Option<String>,
}

/// Asks for a token for publishing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishTokenRequest {
    /// What to call it: 1 to 64 letters, digits, hyphens, underscores and dots, of which the first is a
    /// letter or a digit.
    #[schema(min_length = 1, max_length = 64)]
    pub name: String,
}

/// A token for publishing.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewPublishToken {
    /// What it is called.
    pub name: String,
    /// What publishers send as `Authorization: Bearer`. It is told only here: the cluster keeps its
    /// SHA-256.
    pub token: String,
}

/// Without the token, which no log must show.
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
    /// What they are called.
    pub names: Vec<String>,
}

/// What came of a deletion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Deleted {
    /// The key, in z-base-32.
    pub key: String,
    /// Whether there was a packet.
    pub was_stored: bool,
}

/// A packet that was deleted and may not come back, nor may one before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeletedPacket {
    /// The key, in z-base-32.
    pub key: String,
    /// Packets that are not later are refused: microseconds since 1970.
    pub timestamp_us: u64,
    /// Until when the key may not publish at all, in milliseconds since 1970. Null if it may.
    #[schema(required)]
    pub blocked_until_ms: Option<u64>,
}

/// Some of the packets that were deleted, in the order of their keys' bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeletionPage {
    /// The packets.
    pub deletions: Vec<DeletedPacket>,
    /// What to give as `after` for the next page, if there is one.
    #[schema(required)]
    pub next: Option<String>,
}

/// What a token for publishing is called, which stands in paths and in the audit log.
///
/// # Errors
/// It cannot be called so. What is said then is how it can be.
pub fn parse_publish_token_name(name: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_name = name.len() <= PUBLISH_TOKEN_NAME_LEN_MAX
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.bytes().all(fits);
    is_name.then(|| name.to_owned()).ok_or_else(|| {
        format!(
            "take 1 to {PUBLISH_TOKEN_NAME_LEN_MAX} letters, digits, hyphens, underscores and dots, a \
             letter or a digit first"
        )
    })
}
