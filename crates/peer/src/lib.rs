//! The transport between nodes: TLS by node keys, frames, and the structs of `quorate-rpc` in them.
//!
//! A link is one TCP connection for one lane between two nodes. Both have proved their keys before
//! a byte of ours is spoken (`quorate-tls`); then the one that connected says which wire version,
//! which cluster and which lane, and the other welcomes it or says why not. So a stranger learns no
//! version and cannot make a node decode anything.
//!
//! ```text
//! TLS handshake ── Hello ──▶           a stranger ends here, with an alert
//!               ◀── Greeting ──        another version, another cluster: the reason, and the end
//!                 Request ──▶          frames: length (4 bytes, big-endian), postcard
//!               ◀── Response           one for each request, in order
//! ```
//!
//! # Bounds
//!
//! What a peer can make a node hold is bounded: handshakes under way ([`LinkServerConfig`]; under a
//! flood the oldest gives way), links in all and for each peer, the size of a frame
//! ([`FRAME_SIZE_MAX`]). Requests are read only as the service takes them and responses are taken
//! from it only as the peer reads them; one that stops reading is cut off. One that vanished is
//! noticed by TCP within seconds.
//!
//! Peers are found through the system's resolver at every dial, so that they may move.
//!
//! | piece | what it is |
//! |---|---|
//! | [`PeerTransport`] | opens links to peers |
//! | [`LinkServer`] | takes the links that peers open to a `Service`, at a `quorate-listener` |
//! | [`TransportConfig`], [`LinkServerConfig`] | the timeouts and bounds of both |
//! | [`Credentials`] | what a node shows to its peers: its identity and its cluster |
//! | [`Metrics`] | what both sides count |

mod accepted;
mod config;
mod credentials;
mod dial;
mod frame;
mod greeting;
mod handshake_error;
mod handshakes;
mod link_permits;
mod log_budget;
mod metrics;
mod remote;
mod server;
mod socket;
mod transport;

pub use config::{LinkServerConfig, TransportConfig};
pub use credentials::{ClusterId, Credentials};
pub use frame::FRAME_SIZE_MAX;
pub use metrics::Metrics;
pub use server::LinkServer;
pub use transport::PeerTransport;

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod link_tests;
#[cfg(test)]
mod test_nodes;
