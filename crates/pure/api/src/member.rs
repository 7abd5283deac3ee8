//! The members of the cluster, and requests to change them.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The paths of these requests.
pub(crate) mod path {
    /// The members of the cluster. GET.
    pub const MEMBERS: &str = "/v1/members";
    /// Creates a token with which nodes can join. POST.
    pub const INVITES: &str = "/v1/members/invites";
    /// A member. DELETE removes it.
    pub const MEMBER: &str = "/v1/members/{node}";
    /// Makes a learner a voter. POST.
    pub const PROMOTE: &str = "/v1/members/{node}/promote";
    /// Makes a voter a learner. POST.
    pub const DEMOTE: &str = "/v1/members/{node}/demote";
    /// Replaces a member by another node. POST.
    pub const REPLACE: &str = "/v1/members/{node}/replace";
    /// Gives a member another address. POST.
    pub const MOVE: &str = "/v1/members/{node}/move";
    /// Transfers leadership. POST.
    pub const TRANSFER: &str = "/v1/leader/transfer";
    /// Raises the feature level. POST.
    pub const RAISE_LEVEL: &str = "/v1/level/raise";
}

/// The members of the cluster as its leader sees them. If no leader is known, as the node that
/// received the request sees them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Members {
    /// The cluster's id in hexadecimal, once it has one.
    #[schema(required)]
    pub cluster: Option<String>,
    /// The key of the leader. Null if none is known: then this is the view of the node that
    /// received the request.
    #[schema(required)]
    pub leader: Option<String>,
    /// All members and joining nodes, in key order.
    pub members: Vec<Member>,
}

/// A member of the cluster, or a node that is joining.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Member {
    /// Its key.
    pub node: String,
    /// The name that it is configured with; empty if none.
    pub name: String,
    /// Whether it votes.
    pub role: MemberRole,
    /// Where other nodes reach it: `host:port`.
    pub address: String,
    /// Whether it is reachable and up to date.
    pub state: MemberState,
    /// How many entries of the leader's log it lacks, if that is known.
    #[schema(required)]
    pub lag: Option<u64>,
    /// How long ago the leader last heard from it, in milliseconds, if ever. Without a leader, the
    /// node that received the request.
    #[schema(required)]
    pub last_heard_ms: Option<u64>,
    /// Why it must not become leader now, although it votes: `clock` (it disagrees with a majority
    /// of the voters), `disk_full`, `disk_slow`, `no_key` (it does not have the cluster key).
    #[serde(default)]
    pub not_electable: Vec<String>,
    /// The highest feature level that it supports, if that is known.
    #[serde(default)]
    #[schema(required)]
    pub level: Option<u16>,
    /// Whether it holds the cluster's feature level: no leader raises the level on its own while
    /// this member is live.
    #[serde(default)]
    pub level_hold: bool,
}

/// Whether a member votes (Raft paper, section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum MemberRole {
    /// It votes, and counts for majorities.
    Voter,
    /// It receives the log without a vote.
    Learner,
}

/// Whether a member is reachable and up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum MemberState {
    /// It is the leader.
    Leader,
    /// It answers and has all entries of the leader.
    Live,
    /// It answers and lacks entries.
    CatchingUp,
    /// It does not answer.
    Silent,
    /// It is registered and not a member yet.
    Pending,
    /// It was a member. Only the removed node itself reports this.
    Removed,
}

/// The shortest time for which an invite can be valid, in seconds: nobody copies a token faster.
pub const INVITE_VALID_SECS_MIN: u64 = 10;
/// How long an invite is valid by default, in seconds.
pub const INVITE_VALID_SECS_DEFAULT: u64 = 3600;
/// The longest time for which an invite can be valid, in seconds: a week, enough to buy a machine.
/// A token is a secret that gives access to the cluster, so it should not be around for longer.
pub const INVITE_VALID_SECS_MAX: u64 = 7 * 24 * 3600;

/// Asks for a token with which nodes can join.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InviteRequest {
    /// Whether the node stays a learner. Otherwise it becomes a voter once it has caught up.
    #[serde(default)]
    #[schema(default = false)]
    pub learner: bool,
    /// How long the token can be used, in seconds: 10 to 604,800.
    #[serde(default = "invite_valid_secs")]
    #[schema(minimum = 10, maximum = 604_800, default = 3600)]
    pub valid_secs: u64,
    /// How many nodes can join with it: 1 to 16.
    #[serde(default = "invite_uses")]
    #[schema(minimum = 1, maximum = 16, default = 1)]
    pub uses: u32,
}

const fn invite_uses() -> u32 {
    1
}

const fn invite_valid_secs() -> u64 {
    INVITE_VALID_SECS_DEFAULT
}

/// A token with which nodes can join.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreatedInvite {
    /// The token that the joining node is started with. Anyone who has it can join. It is returned
    /// only here.
    pub token: String,
    /// The id of the invite in hexadecimal. Not a secret.
    pub invite: String,
    /// When it expires, in milliseconds since 1970.
    pub expires_ms: u64,
}

/// Omits the token, which must not appear in a log.
impl fmt::Debug for CreatedInvite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreatedInvite")
            .field("invite", &self.invite)
            .field("expires_ms", &self.expires_ms)
            .finish_non_exhaustive()
    }
}

/// Asks to change one member.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ChangeRequest {
    /// Whether to do it even if fewer than a majority of the voters would be live.
    pub force: bool,
}

/// Asks to remove a member.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RemoveRequest {
    /// Whether to do it even if fewer than a majority of the voters would be live.
    pub force: bool,
    /// Whether others may know what is on its machine: then the certificate, its key and the account key are
    /// replaced, and the certificate is revoked.
    pub compromised: bool,
}

/// Asks to replace a member by another node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplaceRequest {
    /// The other node: a joining node, a learner or a voter. Its key, a unique prefix of the key,
    /// or its name.
    pub with: String,
    /// Whether to do it even if fewer than a majority of the voters would be live.
    #[serde(default)]
    pub force: bool,
}

/// Asks to give a member another address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveRequest {
    /// The new address at which other nodes reach it: `host:port`.
    pub address: String,
}

/// Asks the leader to transfer leadership.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TransferRequest {
    /// The next leader: its key, a unique prefix of the key, or its name. By default the voter that
    /// lacks the fewest entries.
    pub to: Option<String>,
}

/// The leader after a transfer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TransferResult {
    /// The key of the leader.
    pub leader: String,
}

/// Asks to raise the feature level to the highest one that all members support, even if members
/// hold it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RaiseLevelRequest {}

/// The feature level of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RaisedLevel {
    /// The level.
    pub level: u16,
}

/// The result of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChangeReport {
    /// Whether it is done. If not, the same request sent again continues it.
    pub state: ChangeState,
    /// The key of the node that was changed; for a replacement, the key of the new node.
    pub node: String,
    /// How many entries that node lacks, if that is known and matters.
    #[schema(required)]
    pub lag: Option<u64>,
    /// What is allowed but probably a mistake, such as an even number of voters.
    pub warnings: Vec<String>,
}

/// Whether a change is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChangeState {
    /// The change is done.
    Done,
    /// A node has to catch up first. Nothing is lost by waiting: send the request again.
    CatchingUp,
}
