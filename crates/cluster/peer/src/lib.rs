//! Communication between nodes: their identities, their messages, and the links that carry them.
//! `quorate-raft` opens links through [`Transport`] and answers them as a [`Service`]. This crate does not
//! depend on consensus.
//! # Identity
//! A node *is* its Ed25519 key ([`Identity`]), created at its first start and kept with its data. Two nodes
//! prove their keys to each other with TLS 1.3 and raw public keys (RFC 7250). So there is no authority to
//! trust, no certificate that expires and no name to check. The connecting node knows which key must answer.
//! The listening node accepts any key in TLS and reads one hello: a stranger receives no byte inside TLS.
//! There is no session resumption and no early data: each connection proves both keys again, and nothing
//! can be replayed. Only AWS-LC's algorithms are used, given explicitly, so that no other part of the process
//! can change them.
//!
//! # Links
//! A link is one TCP connection for one stream kind between two nodes. Both prove their keys before the first
//! byte of ours. Then the connecting node sends its wire versions, its cluster, the stream kind and its
//! vouchers; the other one welcomes it in the highest version that both support, or reports why not.
//!
//! ```text
//! TLS handshake ── Hello ──▶           a stranger ends here, without a byte
//!               ◀── Greeting ──        another version or cluster: the reason, and the end
//!                 Request ──▶          frames: length (4 bytes, big-endian), number, message, metadata
//!               ◀── Response           one for each request, with its number, in any order
//! ```
//! # Admission
//! The [`Service`] decides about a caller by its own registry: in each handshake, and while a link is open,
//! which ends when the decision changes. A registry may be old, which alone must not exclude a member (Raft
//! dissertation, section 4.1). So a member that is not listed shows a chain of [`Voucher`]s, each signed by
//! the leader that registered it, back to a listed leader ([`is_vouched_for`]). Such a peer gets the streams
//! of Raft and of snapshots. A removed node learns that it was removed, with the voters of the cluster
//! ([`Removal`]).
//!
//! # Strangers
//! While the service expects joiners, an unknown node may request to join:
//!
//! ```text
//! TLS handshake ── Hello, JoinRequest ──▶
//!               ◀── Greeting ──           the answer, if the service gives one, and the end
//! ```
//! For anything else, or without a proven token, the connection ends without a byte inside TLS. A joiner that
//! was registered but did not receive the answer is listed, and may retry.
//! A stranger can make a node do one TLS handshake, read a hello of at most 10 KiB, and check one signature.
//!
//! # Versions
//! The layout of the hello and of the greeting is the same in all versions: they grow only at their end, where
//! older nodes skip unknown fields. So does the metadata of a message, up to the end of its frame
//! ([`FrameMetadata`]). The message in between is that of the selected version. Everything is in postcard.
//!
//! No type of a library is serialised. A field or variant is never changed or reordered: a new
//! feature gets a new variant at the end, sent only to nodes that know it, a new field at the end of
//! [`FrameMetadata`], or a new wire version ([`WIRE_VERSIONS`](message::WIRE_VERSIONS)).
//!
//! # Bounds
//! What a peer can make a node store is bounded: handshakes in progress ([`LinkServerConfig`]; in a flood the
//! oldest is closed), waiting joiners, links in total and for each peer, the size of a frame
//! ([`FRAME_SIZE_MAX`]). Requests are read only as fast as the service accepts them, and responses are taken
//! from it only as fast as the peer reads them; a peer that stops reading is disconnected. TCP notices a
//! vanished peer within seconds.
//! Host names are resolved by the system. A dial uses the last known addresses and does not wait for the
//! resolver. They are looked up again in the background when they are half a minute old, and after a failed
//! dial, so that peers may move.
//!
//! | piece | what it is |
//! |---|---|
//! | [`Identity`] | the secret key of a node, and its file |
//! | [`client_config`], [`server_config`], [`peer_key`] | TLS to one key, TLS for any key, and the key of the other end |
//! | [`message`] | requests and responses, and the disk formats of their contents |
//! | [`StreamKind`], [`Link`], [`Frame`], [`FrameMetadata`] | the kind of a link, a link, a message in a frame, and its metadata |
//! | [`Transport`], [`PeerTransport`] | opens links to peers |
//! | [`Service`], [`LinkServer`] | answers links that peers open, at a listener of `quorate-http` |
//! | [`Introduction`], [`Admission`], [`Removal`] | what nodes state about themselves before a link is open, and the decision |
//! | [`vouch`], [`is_vouched_for`] | vouchers: signing and checking |
//! | [`JoinToken`], [`JoinRequest`], [`JoinAnswer`] | joining: token, request, answer |
//! | [`join`], [`JoinError`] | asks the members in a token to register this node |
//! | [`TransportConfig`], [`LinkServerConfig`] | the timeouts and bounds of both ends |
//! | [`PeerMetrics`] | metrics of both ends |
//! | [`lock`] | locks a mutex that a panic cannot leave inconsistent |

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
pub use message::{
    Acknowledgements, Admission, DataLoss, DecodeError, Frame, FrameMetadata, Introduce,
    Introduction, JoinAnswer, JoinRequest, JoinToken, JoinTokenError, Joined, Link, LinkError,
    LogSummary, NotElectable, Removal, RequestSink, Service, StreamKind, Transport, chain,
    is_vouched_for, vouch,
};
pub use metrics::PeerMetrics;
pub use quorate_limit::{LogBudget, Unlogged};
pub use quorate_secrets::ClusterKey;
pub use quorate_state::{ClusterId, InviteId, JoinRejection, NodeId, Voucher};
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
