//! What the leader is asked, by operators through any node and by nodes for themselves.

use std::time::Duration;

use quorate_packet::PublicKey;
use quorate_state::{InviteId, JoinRefusal, LogIndex, PublishChange, ZoneChange, millis};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use strum::IntoStaticStr;

use crate::{
    ChangeReport, ChangeRequest, Deleted, InviteRequest, Invited, Members, MoveRequest, NodeId,
    Problem, ProblemType, RaiseLevelRequest, RaisedLevel, ReplaceRequest, TransferRequest,
    Transferred,
};

/// Something to ask of the cluster, and what the answer to it is.
pub trait Operation: Into<AdminRequest> + Send {
    /// What it is answered with, unless it is refused.
    type Answer: Serialize + DeserializeOwned + Send;

    /// Why it may be refused.
    const PROBLEMS: &'static [ProblemType];
}

/// Declares what the leader is asked: a variant of [`AdminRequest`] for each operation, with its answer and
/// with the problems that not all of them can have.
macro_rules! operations {
    ($( $(#[$doc:meta])* $variant:ident($operation:ty) -> $answer:ty $([$($problem:ident),+])?; )*) => {
        /// What the leader is asked. It travels as JSON.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
        #[serde(rename_all = "snake_case")]
        #[strum(serialize_all = "snake_case")]
        pub enum AdminRequest {
            $( $(#[$doc])* $variant($operation), )*
        }

        $(
            impl From<$operation> for AdminRequest {
                fn from(operation: $operation) -> Self {
                    Self::$variant(operation)
                }
            }

            impl Operation for $operation {
                type Answer = $answer;

                const PROBLEMS: &'static [ProblemType] = &[
                    $($(ProblemType::$problem,)+)?
                    ProblemType::NotVoter,
                    ProblemType::UnsupportedLevel,
                    ProblemType::NoLeader,
                    ProblemType::MajorityLost,
                    ProblemType::Unavailable,
                ];
            }
        )*
    };
}

operations! {
    /// How are the members?
    Members(ListMembers) -> Members;
    /// Make a token. The node that is asked makes its secret, and asks the leader to open the invite.
    Invite(InviteRequest) -> Invited [InviteCount];
    /// Let a node join that proves to have a secret. Answered with when the invite expires.
    OpenInvite(OpenInvite) -> u64 [InviteCount];
    /// Register a node that has proved to a member that it has a token.
    Join(JoinCall) -> Result<(), JoinRefusal> [BadAddress, UnsuitableNode];
    /// Call the node that asks by another name.
    Rename(Rename) -> () [Busy, UnknownNode, UnsuitableNode];
    /// Change a member.
    ChangeMember(ChangeMember) -> ChangeReport [
        BadAddress, UnknownNode, AmbiguousNode, NoLiveQuorum, Busy, NotCaughtUp, UnsuitableNode, LastVoter
    ];
    /// Hand leadership over.
    Transfer(TransferRequest) -> Transferred [
        UnknownNode, AmbiguousNode, NotCaughtUp, UnsuitableNode
    ];
    /// Raise the feature level.
    RaiseLevel(RaiseLevelRequest) -> RaisedLevel;
    /// Change the replicated records of a zone.
    ChangeZone(ChangeZone) -> () [RefusedZone];
    /// Change who may publish.
    ChangePublishing(ChangePublishing) -> () [RefusedPolicy];
    /// Delete the packet of a key.
    DeletePacket(DeletePacket) -> Deleted [RefusedPolicy];
}

/// Asks how the members are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListMembers {}

/// Asks to let a node join that proves to have the secret of a public key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenInvite {
    /// What names the invite.
    pub id: InviteId,
    /// The public key.
    #[serde(with = "crate::text")]
    pub key: PublicKey,
    /// What the operator has asked for.
    pub request: InviteRequest,
}

/// A node that joins, as the member tells the leader that has verified its proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinCall {
    /// The invite.
    pub invite: InviteId,
    /// The node.
    #[serde(with = "crate::text")]
    pub node: NodeId,
    /// What its operator calls it.
    pub name: String,
    /// Where it is.
    pub address: String,
}

/// The node that asks says what its operator calls it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rename {
    /// The name.
    pub name: String,
}

/// Asks to change a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeMember {
    /// The member: its key, a unique prefix of it, or its name. Only the leader resolves it.
    pub node: String,
    /// What to do with it.
    pub change: MemberChange,
}

/// What to do with a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberChange {
    /// Make a learner a voter once it has caught up.
    Promote(ChangeRequest),
    /// Make a voter a learner, which it stays.
    Demote(ChangeRequest),
    /// Have it be no member any more.
    Remove(ChangeRequest),
    /// Put a node in its place, in one step once that has caught up, and remove it.
    Replace(ReplaceRequest),
    /// It is elsewhere now.
    Move(MoveRequest),
}

impl MemberChange {
    /// This change of a member.
    pub fn of(self, node: impl Into<String>) -> ChangeMember {
        ChangeMember {
            node: node.into(),
            change: self,
        }
    }
}

/// Asks to change the replicated records of a zone, all at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeZone {
    /// How.
    #[serde(with = "encoded")]
    pub change: ZoneChange,
}

/// Asks to change who may publish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangePublishing {
    /// How.
    #[serde(with = "encoded")]
    pub change: PublishChange,
}

/// Asks to delete the packet of a key, so that neither it nor an earlier one comes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletePacket {
    /// The key.
    #[serde(with = "crate::text")]
    pub key: PublicKey,
    /// For how long the key may not publish then, in seconds. 0 lifts a block, and `None` leaves it as
    /// it is.
    pub block_secs: Option<u64>,
}

/// A request on its way to the leader. A node of another version passes over fields that it does not
/// know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// What is asked.
    pub request: AdminRequest,
    /// How long the asking node still waits for the answer, in milliseconds.
    pub time_left_ms: u64,
    /// The name of the operator's token, if one asks: the node itself is known by its link.
    #[serde(default)]
    pub token: Option<String>,
}

impl Asked {
    /// What an operator asks, who waits for the answer for so long.
    pub fn new(request: impl Into<AdminRequest>, time_left: Duration) -> Self {
        Self {
            request: request.into(),
            time_left_ms: millis(time_left),
            token: None,
        }
    }

    /// How long the asking node still waits for the answer.
    pub fn time_left(&self) -> Duration {
        Duration::from_millis(self.time_left_ms)
    }
}

/// The target of the lines of the audit log. What reaches a node by other ways than its API, such as
/// a signal or another node, belongs there too.
pub const AUDIT_TARGET: &str = "quorate::audit";

/// What the leader answers to a request that it does not refuse.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// The answer, as JSON.
    pub answer: serde_json::Value,
    /// The entry of the log from which on it holds.
    pub index: LogIndex,
}

/// What the leader's answer to an operation says. Fails if another version has given it.
pub fn answer_to<O: Operation>(answer: serde_json::Value) -> Result<O::Answer, Problem> {
    serde_json::from_value(answer).map_err(|error| Problem::not_understood(&error))
}

/// A change as the bytes that the log has of it, in base64.
mod encoded {
    use bytes::Bytes;
    use data_encoding::BASE64;
    use quorate_state::{CommandError, PublishChange, ZoneChange};
    use serde::{Deserializer, Serializer, de::Error};

    use super::Deserialize;

    pub(super) trait Encoded: Sized {
        const ENCODE: fn(&Self) -> Bytes;
        const DECODE: fn(Bytes) -> Result<Self, CommandError>;
    }

    impl Encoded for ZoneChange {
        const ENCODE: fn(&Self) -> Bytes = Self::encode;
        const DECODE: fn(Bytes) -> Result<Self, CommandError> = Self::decode;
    }

    impl Encoded for PublishChange {
        const ENCODE: fn(&Self) -> Bytes = Self::encode;
        const DECODE: fn(Bytes) -> Result<Self, CommandError> = Self::decode;
    }

    pub(super) fn serialize<T: Encoded, S: Serializer>(
        value: &T,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(&BASE64.encode(&T::ENCODE(value)))
    }

    pub(super) fn deserialize<'de, T: Encoded, D: Deserializer<'de>>(
        from: D,
    ) -> Result<T, D::Error> {
        let text = String::deserialize(from)?;
        let bytes = BASE64.decode(text.as_bytes()).map_err(D::Error::custom)?;
        T::DECODE(bytes.into()).map_err(D::Error::custom)
    }
}
