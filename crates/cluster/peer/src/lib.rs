//! Everything between two nodes: who they are, what they say to each other, and the links that carry
//! it.
//!
//! `quorate-raft` opens links through [`Transport`] and answers them as a [`Service`]; this crate
//! knows nothing of consensus.
//!
//! # Who a node is
//!
//! A node *is* its Ed25519 key ([`Identity`]), made on first start and kept with its data. Two nodes
//! prove their keys to each other by TLS 1.3 with raw public keys (RFC 7250). So there is no authority
//! to trust, no certificate to expire and no name to check. The one that connects knows beforehand
//! which key must answer. The one that listens lets any key through TLS and reads one hello: a
//! stranger gets no byte of what is spoken inside.
//!
//! Nothing is resumed and no data goes early: each connection proves both keys anew, and what was
//! sent once cannot be replayed. Only ring's algorithms are used, given explicitly, so that no other
//! part of the process can change them.
//!
//! # Links
//!
//! A link is one TCP connection for one stream between two nodes. Both have proved their keys before
//! a byte of ours is spoken. Then the one that connected says which wire versions it speaks, which
//! cluster and which stream, and shows its vouchers; the other welcomes it in the highest version that
//! both speak, or says why not.
//!
//! ```text
//! TLS handshake ── Hello ──▶           a stranger ends here, without a byte
//!               ◀── Greeting ──        another version, another cluster: the reason, and the end
//!                 Request ──▶          frames: length (4 bytes, big-endian), number, message, metadata
//!               ◀── Response           one for each request, with its number, in any order
//! ```
//!
//! # Who is heard
//!
//! What a caller is, the [`Service`] judges by its own registry: in each handshake, and while a link
//! is open, which ends when the judgement changes. A registry may be old, so that alone is no reason
//! to turn a member away (Raft dissertation, section 4.1): a member that it does not list shows a
//! chain of [`Voucher`]s, each signed by the leader that registered it, back to a leader that is
//! listed ([`is_vouched_for`]). Such a peer gets the streams of Raft and of snapshots. A node that was
//! removed is told so, with the voters of the cluster that it is no part of ([`Removal`]).
//!
//! # Strangers
//!
//! While the service expects joiners, one that nobody knows may ask to join:
//!
//! ```text
//! TLS handshake ── Hello, JoinRequest ──▶
//!               ◀── Greeting ──           the answer, if the service gives one, and the end
//! ```
//!
//! Whoever says anything else, or proves no token, gets not a byte: the connection ends as TLS ends
//! one. A joiner that was registered and has not heard the answer is listed, and may ask again.
//!
//! What a stranger can make a node do is one handshake of TLS, reading a hello of at most 10 KiB and
//! the check of one signature.
//!
//! # Versions
//!
//! The layout of the hello and of the greeting is the same in all versions: they grow only at their
//! end, where older nodes skip what they do not know. So does the metadata of a message, up to the end
//! of its frame ([`FrameMetadata`]). The message in between is that of the version chosen,
//! and nothing else may be in its place. All is in postcard.
//!
//! No type of a library is serialised. A field or variant is never changed or reordered: a new need
//! gets a new variant at the end that is only sent to who knows it, a new field at the end of a
//! [`FrameMetadata`], or a new version of the wire ([`WIRE_VERSIONS`](message::WIRE_VERSIONS)).
//!
//! # Bounds
//!
//! What a peer can make a node hold is bounded: handshakes under way ([`LinkServerConfig`]; under a
//! flood the oldest gives way), joiners that wait for their answer, links in all and for each peer,
//! the size of a frame ([`FRAME_SIZE_MAX`]). Requests are read only as the service takes them and responses are taken
//! from it only as the peer reads them; one that stops reading is cut off. One that vanished is
//! noticed by TCP within seconds.
//!
//! Peers are found through the system's resolver. A dial uses what it said last and does not wait
//! for it; it is asked again beside a dial when that is half a minute old, and after a dial that
//! fails, so that peers may move.
//!
//! | piece | what it is |
//! |---|---|
//! | [`Identity`] | the secret key of a node, and its file |
//! | [`client_config`], [`server_config`], [`peer_key`] | TLS to one key, TLS for any key, and who is at the other end |
//! | [`message`] | requests and responses, and the forms on disk of what they carry |
//! | [`StreamKind`], [`Link`], [`Frame`], [`FrameMetadata`] | what a link carries, a link, a message on its way, and what it says of its sender |
//! | [`Transport`], [`PeerTransport`] | opens links to peers |
//! | [`Service`], [`LinkServer`] | answers links that peers open, at a listener of `quorate-http` |
//! | [`Introduction`], [`Admission`], [`Removal`] | what nodes say of themselves before a link is open, and what comes of it |
//! | [`vouch`], [`is_vouched_for`] | what proves a member to one that has not heard of it |
//! | [`JoinToken`], [`JoinRequest`], [`JoinAnswer`] | how a node gets in that nobody knows yet |
//! | [`join`], [`JoinError`] | asks the members that a token names to take this node in |
//! | [`TransportConfig`], [`LinkServerConfig`] | the timeouts and bounds of both ends |
//! | [`PeerMetrics`] | what both ends count |
//! | [`lock`] | locks what no panic leaves half changed |

mod accepted;
mod addresses;
mod config;
mod connector;
mod dial_error;
mod frame;
mod greeting;
mod handshake_error;
mod handshakes;
mod identity;
mod join;
mod joiner;
mod link_permits;
mod lock;
mod log_budget;
pub mod message;
mod metrics;
mod recent;
mod remote;
mod server;
mod socket;
mod transport;

pub use config::{LinkServerConfig, TransportConfig};
pub use frame::FRAME_SIZE_MAX;
pub use identity::{
    Identity, IdentityError, KeyRejection, client_config, peer_key, server_config, server_name,
};
pub use join::{JoinError, join};
pub use lock::lock;
pub use log_budget::{LogBudget, Unlogged};
pub use message::{
    Acknowledgements, Admission, DataLoss, DecodeError, Frame, FrameMetadata, Introduce,
    Introduction, JoinAnswer, JoinRequest, JoinToken, JoinTokenError, Joined, Link, LinkError,
    LogSummary, NotElectable, Removal, RequestSink, Service, StreamKind, Transport, chain,
    is_vouched_for, vouch,
};
pub use metrics::PeerMetrics;
pub use quorate_state::{ClusterId, InviteId, JoinRefusal, NodeId, Voucher};
pub use server::LinkServer;
pub use transport::PeerTransport;

#[cfg(test)]
mod admission_tests;
#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod join_tests;
#[cfg(test)]
mod link_tests;
#[cfg(test)]
mod move_tests;
#[cfg(test)]
mod stranger_tests;
#[cfg(test)]
mod test_home;
#[cfg(test)]
mod test_nodes;
#[cfg(test)]
mod test_service;
