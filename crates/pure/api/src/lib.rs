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
//! | [`NodeStatus`], [`StateDigest`] | how a node is |
//! | [`Members`], [`Member`] | who the cluster is |
//! | [`InviteRequest`], [`ChangeRequest`], [`ReplaceRequest`], [`MoveRequest`], [`TransferRequest`] | changes of it |
//! | [`Invited`], [`ChangeReport`], [`Transferred`] | what came of them |
//! | [`AdminRequest`], [`Operation`], [`Asked`], [`Answered`] | what the leader is asked, whichever node took the request |
//! | [`PacketPage`], [`Packet`] | what is stored |
//! | [`Changes`] | what changes in that |
//! | [`Zones`], [`Zone`], [`ZoneListing`], [`ListedRecord`] | what the cluster serves beside packets |
//! | [`SetRecordsRequest`], [`UnsetRecordsRequest`], [`ImportZoneRequest`] | changes of that |
//! | [`Policy`], [`KeyPage`], [`PublishTokens`], [`DeletionPage`] | who may publish, and what was deleted |
//! | [`PublishModeRequest`], [`PublishKeysRequest`], [`PublishTokenRequest`] | changes of that |
//! | [`NewPublishToken`], [`Deleted`] | what came of them |
//! | [`ReloadReport`], [`LogFilter`] | what can be changed while a node runs |

#![warn(missing_docs)]

mod member;
mod operate;
mod packet;
pub mod path;
mod policy;
mod problem;
mod runtime;
mod status;
mod text;
mod zone;

pub use member::*;
pub use operate::*;
pub use packet::*;
pub use policy::*;
pub use problem::*;
pub use quorate_state::{INVITE_USES_MAX, LogIndex, NodeId, Term};
pub use runtime::*;
pub use status::*;
pub use zone::*;

#[cfg(test)]
#[path = "api_tests.rs"]
mod tests;
