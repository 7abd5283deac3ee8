//! What nodes say to each other, and the traits by which they say it.
//!
//! Values and traits only: `quorate-raft` speaks through a [`Transport`] and answers as a
//! [`Service`], and `quorate-peer` carries both over TLS. Neither knows the other.
//!
//! No type of a library is serialised here. A field or variant is never changed or reordered: a new
//! need gets a new variant at the end, or a new version of the wire
//! ([`WIRE_VERSION`](message::WIRE_VERSION)).
//!
//! | piece | what it is |
//! |---|---|
//! | [`NodeId`] | who a node is: its public key |
//! | [`message`] | requests and responses, and the forms on disk of what they carry |
//! | [`Transport`], [`Link`] | how a node reaches its peers |
//! | [`LinkError`], [`chain`] | what went wrong on the way, as text |
//! | [`Service`] | how it answers them |
//! | [`Lane`] | what a link carries |
//! | [`Tail`] | what every message says of its sender, its clock above all |

pub mod message;
mod node_id;
mod tail;
mod transport;

pub use message::DecodeError;
pub use node_id::NodeId;
pub use tail::{Tail, Unfit};
pub use transport::{Lane, Link, LinkError, Service, Transport, chain};
