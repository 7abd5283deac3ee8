//! The admin API, version 1: what a client sends to a node, and what the node answers.
//!
//! Values only, for both ends; all of them JSON. A request with a field that is not known is
//! refused, since a misspelt `force` must not pass for none. An answer may get more fields within
//! this version, and clients pass over those they do not know.
//!
//! | piece | what it is |
//! |---|---|
//! | [`path`] | where things are |
//! | [`Problem`], [`ProblemType`] | why a request was refused (RFC 9457) |
//! | [`Status`], [`Digest`] | how a node is |
//! | [`Members`], [`Member`] | who the cluster is |
//! | [`InviteRequest`], [`ChangeRequest`], [`ReplaceRequest`], [`MoveRequest`], [`TransferRequest`] | changes of it |
//! | [`Invited`], [`ChangeReport`], [`Transferred`] | what came of them |
//! | [`AdminRequest`], [`Operation`], [`Asked`], [`Answered`] | what the leader is asked, whichever node took the request |
//! | [`PacketPage`], [`Packet`] | what is stored |
//! | [`PacketChanges`] | what changes in that |
//! | [`Zones`], [`Zone`], [`ZoneListing`], [`ListedRecord`] | what the cluster serves beside packets |
//! | [`SetRecordsRequest`], [`UnsetRecordsRequest`], [`ImportZoneRequest`] | changes of that |
//! | [`Policy`], [`KeyPage`], [`PublishTokens`], [`DeletionPage`] | who may publish, and what was deleted |
//! | [`PublishModeRequest`], [`PublishKeysRequest`], [`PublishTokenRequest`] | changes of that |
//! | [`NewPublishToken`], [`Deleted`] | what came of them |
//! | [`ReloadReport`], [`LogFilter`] | what can be changed while a node runs |

#![warn(missing_docs)]

mod change;
mod changes;
mod member;
mod operate;
mod packet;
pub mod path;
mod policy;
mod problem;
mod runtime;
mod status;
mod zone;

pub use change::{
    ChangeReport, ChangeRequest, ChangeState, INVITE_VALID_SECS_DEFAULT, INVITE_VALID_SECS_MAX,
    INVITE_VALID_SECS_MIN, InviteRequest, Invited, MoveRequest, ReplaceRequest, TransferRequest,
    Transferred,
};
pub use changes::{
    CHANGE_COUNT_DEFAULT, CHANGE_COUNT_MAX, ChangeKind, PacketChange, PacketChanges,
};
pub use member::{Member, MemberRole, MemberState, Members};
pub use operate::*;
pub use packet::{
    PACKET_COUNT_DEFAULT, PACKET_COUNT_MAX, Packet, PacketPage, PacketRecord, PacketSummary,
};
pub use policy::{
    BLOCK_SECS_MAX, Deleted, DeletedPacket, DeletionPage, KeyPage, KeysChange, NewPublishToken,
    POLICY_KEY_COUNT_MAX, POLICY_KEYS_SIZE_MAX, PUBLISH_TOKEN_NAME_LEN_MAX, Policy,
    PublishKeysRequest, PublishMode, PublishModeRequest, PublishTokenRequest, PublishTokens,
    is_publish_token_name,
};
pub use problem::{PROBLEM_CONTENT_TYPE, Problem, ProblemType};
pub use quorate_state::NodeId;
pub use runtime::{LogFilter, ReloadReport};
pub use status::{ClockStatus, Digest, Status};
pub use zone::{
    IMPORT_SIZE_MAX, ImportZoneRequest, ListedRecord, ROOT_ZONE, SetRecordsRequest,
    UnsetRecordsRequest, ZONE_TTL_SECS_DEFAULT, Zone, ZoneListing, Zones,
};

#[cfg(test)]
#[path = "api_tests.rs"]
mod tests;
