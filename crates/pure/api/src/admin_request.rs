//! Requests to the leader: from operators through any node, and from nodes on their own behalf.

use std::time::Duration;

use quorate_packet::PublicKey;
use quorate_state::{
    BackupResult, InviteId, JoinRejection, LogIndex, PublishChange, SettingsChange, ZoneChange,
    millis,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use strum::IntoStaticStr;

use crate::{
    ChangeReport, ChangeRequest, CreatedInvite, Deleted, ImportPackets, ImportReport,
    InviteRequest, Members, MoveRequest, NodeId, Problem, ProblemType, RaiseLevelRequest,
    RaisedLevel, RemoveRequest, RenewCertificateRequest, ReplaceRequest, RotateKeyRequest,
    RotatedKey, TransferRequest, TransferResult,
};

/// A kind of request to the leader, with the types of its answer and of its problems.
pub trait AdminOperation: Into<AdminRequest> + Send {
    /// The answer, unless the request is rejected.
    type Answer: Serialize + DeserializeOwned + Send;

    /// The reasons for which it may be rejected.
    const PROBLEMS: &'static [ProblemType];
}

/// Declares the requests to the leader: a variant of [`AdminRequest`] for each operation, with its
/// answer and with the problems that only this operation can have.
macro_rules! operations {
    ($( $(#[$doc:meta])* $variant:ident($operation:ty) -> $answer:ty $([$($problem:ident),+])?; )*) => {
        /// A request to the leader. It travels as JSON.
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

            impl AdminOperation for $operation {
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
    /// List the members.
    Members(ListMembers) -> Members;
    /// Create a join token. The node that receives the request generates the secret, and asks the
    /// leader to open the invite.
    Invite(InviteRequest) -> CreatedInvite [InviteCount];
    /// Open an invite: a node that proves that it has the secret may join. The answer is the time
    /// at which the invite expires.
    OpenInvite(OpenInvite) -> u64 [InviteCount];
    /// Register a node that has proved to a member that it has a token.
    Join(RegisterNode) -> Result<(), JoinRejection> [BadAddress, UnsuitableNode];
    /// Change the name of the node that sends this.
    Rename(Rename) -> () [Busy, UnknownNode, UnsuitableNode];
    /// Change a member.
    ChangeMember(ChangeMember) -> ChangeReport [
        BadAddress, UnknownNode, AmbiguousNode, NoLiveQuorum, Busy, NotCaughtUp, UnsuitableNode, LastVoter
    ];
    /// Transfer leadership.
    Transfer(TransferRequest) -> TransferResult [
        UnknownNode, AmbiguousNode, NotCaughtUp, UnsuitableNode
    ];
    /// Raise the feature level.
    RaiseLevel(RaiseLevelRequest) -> RaisedLevel;
    /// Change the replicated records of a zone.
    ChangeZone(ChangeZone) -> () [RefusedZone, UnknownRecord];
    /// Change who may publish.
    ChangePublishing(ChangePublishing) -> () [RefusedPolicy];
    /// Delete the packet of a key.
    DeletePacket(DeletePacket) -> Deleted [RefusedPolicy];
    /// Change settings on which the cluster has agreed.
    ChangeSettings(ChangeSettings) -> () [RefusedSettings, WouldDelete];
    /// Store packets that the node which sends this has verified.
    ImportPackets(ImportPackets) -> ImportReport;
    /// Record the result of a scheduled backup of the node that sends this.
    RecordBackup(RecordBackup) -> ();
    /// Replace the cluster key.
    RotateKey(RotateKeyRequest) -> RotatedKey;
    /// Demand a new certificate.
    RenewCertificate(RenewCertificateRequest) -> ();
}

/// Asks for the members and their states.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListMembers {}

/// Asks to open an invite for nodes that prove that they have the secret of a public key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenInvite {
    /// The id of the invite.
    pub id: InviteId,
    /// The public key.
    #[serde(with = "crate::text")]
    pub key: PublicKey,
    /// The operator's request.
    pub request: InviteRequest,
}

/// A joining node. The member that has verified its proof sends this to the leader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterNode {
    /// The invite.
    pub invite: InviteId,
    /// The node.
    #[serde(with = "crate::text")]
    pub node: NodeId,
    /// The name in its configuration.
    pub name: String,
    /// Where other nodes reach it.
    pub address: String,
}

/// Reports the configured name of the node that sends this.
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
    /// The change.
    pub change: MemberChange,
}

/// A change of a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberChange {
    /// Make a learner a voter once it has caught up.
    Promote(ChangeRequest),
    /// Make a voter a learner, which it stays.
    Demote(ChangeRequest),
    /// Remove it from the cluster.
    Remove(RemoveRequest),
    /// Replace it by another node and remove it, in one step once the other has caught up.
    Replace(ReplaceRequest),
    /// Change its address.
    Move(MoveRequest),
}

impl MemberChange {
    /// The request to make this change to `node`.
    pub fn of(self, node: impl Into<String>) -> ChangeMember {
        ChangeMember {
            node: node.into(),
            change: self,
        }
    }
}

/// Asks to change the replicated records of a zone in one step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeZone {
    /// The change.
    #[serde(with = "encoded")]
    pub change: ZoneChange,
}

/// Asks to change who may publish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangePublishing {
    /// The change.
    #[serde(with = "encoded")]
    pub change: PublishChange,
}

/// Asks to delete the packet of a key. Neither that packet nor an older one can be stored again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletePacket {
    /// The key.
    #[serde(with = "crate::text")]
    pub key: PublicKey,
    /// For how long the key may not publish afterwards, in seconds. 0 removes a block, and `None`
    /// leaves it as it is.
    pub block_secs: Option<u64>,
}

/// Asks to change settings on which the cluster has agreed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeSettings {
    /// The new values.
    pub change: SettingsChange,
    /// Whether stored packets may be deleted by it.
    pub may_delete: bool,
}

/// Reports the result of a scheduled backup of the node that sends this. The leader adds the time and the
/// node, so that no node can speak for another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordBackup {
    /// Whether there is a new, verified file.
    pub result: BackupResult,
}

/// A request that a node forwards to the leader. A node of another version ignores fields that it
/// does not know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForwardedRequest {
    /// The request.
    pub request: AdminRequest,
    /// How long the forwarding node still waits for the answer, in milliseconds.
    pub time_left_ms: u64,
    /// The name of the operator's token, if an operator sent the request. The link identifies the
    /// forwarding node.
    #[serde(default)]
    pub token: Option<String>,
}

impl ForwardedRequest {
    /// A request without a token, whose sender waits for the answer for `time_left`.
    pub fn new(request: impl Into<AdminRequest>, time_left: Duration) -> Self {
        Self {
            request: request.into(),
            time_left_ms: millis(time_left),
            token: None,
        }
    }

    /// How long the forwarding node still waits for the answer.
    pub fn time_left(&self) -> Duration {
        Duration::from_millis(self.time_left_ms)
    }
}

/// The `tracing` target of the audit log. Changes that do not come through the API, such as by a
/// signal or from another node, belong in it too.
pub const AUDIT_TARGET: &str = "quorate::audit";

/// The leader's answer to a request that it accepts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForwardedAnswer {
    /// The answer, as JSON.
    pub answer: serde_json::Value,
    /// The log entry from which on the answer is true.
    pub index: LogIndex,
}

/// Decodes the leader's answer to an operation. Fails if the leader's version writes it
/// differently.
pub fn decode_answer<O: AdminOperation>(answer: serde_json::Value) -> Result<O::Answer, Problem> {
    serde_json::from_value(answer).map_err(|error| Problem::unreadable_answer(&error))
}

/// Writes a change in JSON as the bytes that the log has for it, in base64.
mod encoded {
    use bytes::Bytes;
    use data_encoding::BASE64;
    use quorate_state::{CommandError, PublishChange, ZoneChange};
    use serde::{Deserializer, Serializer, de::Error};

    use super::Deserialize;

    pub(super) trait BinaryEncoding: Sized {
        const ENCODE: fn(&Self) -> Bytes;
        const DECODE: fn(Bytes) -> Result<Self, CommandError>;
    }

    impl BinaryEncoding for ZoneChange {
        const ENCODE: fn(&Self) -> Bytes = Self::encode;
        const DECODE: fn(Bytes) -> Result<Self, CommandError> = Self::decode;
    }

    impl BinaryEncoding for PublishChange {
        const ENCODE: fn(&Self) -> Bytes = Self::encode;
        const DECODE: fn(Bytes) -> Result<Self, CommandError> = Self::decode;
    }

    pub(super) fn serialize<T: BinaryEncoding, S: Serializer>(
        value: &T,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(&BASE64.encode(&T::ENCODE(value)))
    }

    pub(super) fn deserialize<'de, T: BinaryEncoding, D: Deserializer<'de>>(
        from: D,
    ) -> Result<T, D::Error> {
        let text = String::deserialize(from)?;
        let bytes = BASE64.decode(text.as_bytes()).map_err(D::Error::custom)?;
        T::DECODE(bytes.into()).map_err(D::Error::custom)
    }
}
