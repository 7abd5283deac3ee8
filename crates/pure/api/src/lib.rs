//! The requests, responses and problems of the admin API, version 1, for clients and nodes.
//!
//! The crate has only types, and all of them travel as JSON. A request with an unknown field is
//! rejected, because a misspelt `force` must not count as absent. Responses may get more fields
//! within this version, and clients ignore fields that they do not know.
//!
//! | piece | what it is |
//! |---|---|
//! | [`path`] | the paths of the API |
//! | [`Problem`], [`ProblemType`] | why a request failed (RFC 9457) |
//! | [`NodeStatus`], [`StateDigest`] | the state of a node |
//! | [`Members`], [`Member`] | the members of the cluster |
//! | [`InviteRequest`], [`ChangeRequest`], [`RemoveRequest`], [`ReplaceRequest`], [`MoveRequest`], [`TransferRequest`] | requests to change the members |
//! | [`CreatedInvite`], [`ChangeReport`], [`TransferResult`] | their results |
//! | [`AdminRequest`], [`AdminOperation`], [`ForwardedRequest`], [`ForwardedAnswer`] | what a node forwards to the leader, and the leader's answer |
//! | [`PacketPage`], [`Packet`] | stored packets |
//! | [`PortablePacket`], [`ImportPackets`], [`ImportReport`] | packets outside of a cluster, and their import |
//! | [`Changes`] | which packets have changed |
//! | [`Zones`], [`Zone`], [`ZoneListing`], [`ListedRecord`] | replicated records of zones |
//! | [`SetRecordsRequest`], [`UnsetRecordsRequest`], [`ImportZoneRequest`] | requests to change those |
//! | [`Policy`], [`KeyPage`], [`PublishTokens`], [`DeletionPage`] | who may publish, and which packets were deleted |
//! | [`PublishModeRequest`], [`PublishKeysRequest`], [`PublishTokenRequest`] | requests to change that |
//! | [`NewPublishToken`], [`Deleted`] | their results |
//! | [`SettingsRequest`] | a change of settings on which the cluster has agreed |
//! | [`CertificateStatus`], [`RenewCertificateRequest`] | the certificate of the cluster |
//! | [`DhtStatus`], [`DhtPacket`], [`DhtPublished`] | the bridge to the Mainline DHT |
//! | [`RotateKeyRequest`], [`RotatedKey`] | the cluster key |
//! | [`ReloadReport`], [`LogFilter`] | settings that can change while a node runs |

#![warn(missing_docs)]

mod admin_request;
mod certificate;
mod dht;
mod member;
mod packet;
pub mod path;
mod policy;
mod problem;
mod runtime;
mod secrets;
mod status;
mod text;
mod zone;

pub use admin_request::*;
pub use certificate::*;
pub use dht::*;
pub use member::*;
pub use packet::*;
pub use policy::*;
pub use problem::*;
pub use quorate_state::{INVITE_USES_MAX, LogIndex, NodeId, Term};
pub use runtime::*;
pub use secrets::*;
pub use status::*;
pub use zone::*;

#[cfg(test)]
#[path = "api_tests.rs"]
mod tests;
