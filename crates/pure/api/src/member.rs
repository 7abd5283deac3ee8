//! Who the cluster is.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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
}
