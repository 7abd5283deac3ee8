//! Who the cluster is, and changes of that.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where these are.
pub(crate) mod path {
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
    /// Raises the feature level. POST.
    pub const RAISE_LEVEL: &str = "/v1/level/raise";
}

/// Who the cluster is, as its leader sees it; while none is known, as the node that is asked does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Members {
    /// The cluster's id in hexadecimal, once it has one.
    #[schema(required)]
    pub cluster: Option<String>,
    /// The key of the leader. Null if none is known: then this is what the node that is asked knows.
    #[schema(required)]
    pub leader: Option<String>,
    /// All members, and the nodes that are about to be, in key order.
    pub members: Vec<Member>,
}

/// A member of the cluster, or a node that is about to be one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Member {
    /// Its key.
    pub node: String,
    /// The name it gives itself; empty if none.
    pub name: String,
    /// Whether it votes.
    pub role: MemberRole,
    /// Where other nodes reach it: `host:port`.
    pub address: String,
    /// How it is.
    pub state: MemberState,
    /// How many entries it lacks of the leader's log, if that is known.
    #[schema(required)]
    pub lag: Option<u64>,
    /// How long ago the leader, or without one the node that is asked, heard from it, in milliseconds, if it ever has.
    #[schema(required)]
    pub last_heard_ms: Option<u64>,
    /// Why it must not lead now, though it votes: `clock` (not what a majority of the voters agrees on), `disk_full`, `disk_slow`.
    #[serde(default)]
    pub not_electable: Vec<String>,
    /// The highest feature level that it supports, if that is known.
    #[serde(default)]
    #[schema(required)]
    pub level: Option<u16>,
    /// Whether it holds the cluster's level: no leader raises that by itself while this member lives.
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

/// How a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum MemberState {
    /// It leads.
    Leader,
    /// It answers, and has what the leader has.
    Live,
    /// It answers, and lacks entries.
    CatchingUp,
    /// It does not answer.
    Silent,
    /// It was let in and is no member yet.
    Pending,
    /// It was a member. Only the node itself says so.
    Removed,
}

/// The shortest time that an invite can be valid for, in seconds: nobody copies a token faster.
pub const INVITE_VALID_SECS_MIN: u64 = 10;
/// How long an invite is valid if nobody says, in seconds.
pub const INVITE_VALID_SECS_DEFAULT: u64 = 3600;
/// The longest time that an invite can be valid for, in seconds: a week, for a machine that has yet
/// to be bought. A token is a secret that opens the cluster, and should not lie about for longer.
pub const INVITE_VALID_SECS_MAX: u64 = 7 * 24 * 3600;

/// Asks for a token by which nodes can join.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InviteRequest {
    /// Whether the node stays a learner; otherwise it becomes a voter once it has caught up.
    #[serde(default)]
    #[schema(default = false)]
    pub learner: bool,
    /// How long the token can be used, in seconds: 10 to 604,800.
    #[serde(default = "invite_valid_secs")]
    #[schema(minimum = 10, maximum = 604_800, default = 3600)]
    pub valid_secs: u64,
    /// How many nodes can join by it: 1 to 16.
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

/// A token by which nodes can join.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Invited {
    /// What the joining node is started with. Whoever has it can join: it is told only here.
    pub token: String,
    /// The id of the invite in hexadecimal. No secret.
    pub invite: String,
    /// When it ends, in milliseconds since 1970.
    pub expires_ms: u64,
}

/// Without the token, which no log must show.
impl fmt::Debug for Invited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invited")
            .field("invite", &self.invite)
            .field("expires_ms", &self.expires_ms)
            .finish_non_exhaustive()
    }
}

/// Asks for a change of one member.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ChangeRequest {
    /// Whether to do it even if no live quorum is left.
    pub force: bool,
}

/// Asks to put another node in the place of a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplaceRequest {
    /// The other node: a joining node, a learner or a voter, by its key, a unique prefix of it, or
    /// its name.
    pub with: String,
    /// Whether to do it even if no live quorum is left.
    #[serde(default)]
    pub force: bool,
}

/// Asks to give a member another address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveRequest {
    /// Where other nodes reach it from now on: `host:port`.
    pub address: String,
}

/// Asks the leader to hand over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TransferRequest {
    /// To whom, by key, a unique prefix of it, or name; without it to the voter that is furthest.
    pub to: Option<String>,
}

/// Who leads after a transfer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Transferred {
    /// The key of the leader.
    pub leader: String,
}

/// Asks for the highest feature level that all members support, whoever holds it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RaiseLevelRequest {}

/// At which feature level the cluster is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RaisedLevel {
    /// The level.
    pub level: u16,
}

/// What came of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChangeReport {
    /// Whether it is done. The same request again goes on with it.
    pub state: ChangeState,
    /// The key of the node that it is about: of two, the one that comes.
    pub node: String,
    /// How many entries that node lacks, if it is known and matters.
    #[schema(required)]
    pub lag: Option<u64>,
    /// What is allowed but doubtful, such as an even number of voters.
    pub warnings: Vec<String>,
}

/// Whether a change is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChangeState {
    /// It is.
    Done,
    /// A node has to catch up first. Nothing is lost by waiting: ask again.
    CatchingUp,
}
