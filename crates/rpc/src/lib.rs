//! What nodes say to each other, and the traits by which they say it.
//!
//! Values and traits only: `quorate-raft` speaks through a [`Transport`] and answers as a
//! [`Service`], and `quorate-peer` carries both over TLS. Neither knows the other.
//!
//! No type of a library is serialised here. A field or variant is never changed or reordered: a new
//! need gets a new variant at the end that is only sent to who knows it, a new field at the end of a
//! [`Tail`], or a new version of the wire ([`WIRE_VERSIONS`](message::WIRE_VERSIONS)).
//!
//! | piece | what it is |
//! |---|---|
//! | [`NodeId`] | who a node is: its public key |
//! | [`message`] | requests and responses, and the forms on disk of what they carry |
//! | [`Transport`], [`Link`] | how a node reaches its peers |
//! | [`Frame`] | a message on its way: its number, itself, and its tail |
//! | [`Introduction`], [`LogState`] | what nodes say of themselves before a link is open |
//! | [`JoinToken`], [`JoinRequest`], [`JoinAnswer`] | how a node gets in that nobody knows yet |
//! | [`operate`] | what operators ask of a cluster, and what it answers |
//! | [`LinkError`], [`chain`] | what went wrong on the way, as text |
//! | [`Service`] | how it answers them |
//! | [`Lane`] | what a link carries |
//! | [`Tail`], [`Unfit`] | what every message says of its sender, its clock above all; why it should not lead |

mod join;
mod join_token;
pub mod message;
mod node_id;
pub mod operate;
mod tail;
mod transport;

pub use join::{JoinAnswer, JoinRequest, Joined};
pub use join_token::{JoinToken, JoinTokenError};
pub use message::DecodeError;
pub use node_id::NodeId;
pub use quorate_state::{ClusterId, ClusterNames, InviteId, JoinRefusal};
pub use tail::{Tail, Unfit, decode_padded};
pub use transport::{
    Frame, Introduction, Lane, Link, LinkError, LogState, RequestSink, Service, Transport, chain,
};
