//! The HTTP server that runs every router of a node. It has no routes of its own.
//!
//! Plain connections speak HTTP/1.1, or HTTP/2 from the first byte. TLS connections speak what was
//! negotiated in the handshake.
//!
//! A client can only keep a connection while it makes progress: the handshake, the header and the
//! body of each request, and reading the answer have a timeout each, and a connection without an
//! active request is closed after a while. When the maximum is open, a new connection evicts the
//! one that was idle the longest. A connection that waits for its client counts as idle, so a
//! client that holds many only harms itself. A request that waits for this node, for example for a
//! change of a packet, has no timeout here.
//!
//! Each request has axum's `ConnectInfo<SocketAddr>`, and an id in `X-Request-Id`, which is
//! repeated in its answer and its log lines. If a client is still sending when its request is
//! rejected, the server reads on for a while, so that the client receives the answer (RFC 9112,
//! section 9.6).
//!
//! | piece | what it is |
//! |---|---|
//! | [`HttpConfig`] → [`HttpListeners`] → [`Server`] | HTTP for any router, safe against slow clients and floods |
//! | [`IsTrusted`], [`BandwidthLimiter`] | which proxies are trusted to name the client, and how long a client has to wait for its bytes |
//! | [`Routes`], [`with_cors`] | a router, with or without CORS for browsers |
//! | [`read_body`], [`BodyError`] | reads a request's body, of limited size, within the server's timeout |
//! | [`ProblemResponse`], [`ProblemType`] | why a request failed (RFC 9457) |
//! | [`text`], [`uncached`], [`retry_after`] | plain text answers, and fields about caching and retries |
//! | [`with_methods`] | the methods of a resource |

mod body;
mod certificate;
mod config;
mod connection;
mod cors;
mod header_timer;
pub mod listener;
mod methods;
mod problem;
mod protocol;
mod proxy_header;
mod request_id;
mod request_tracker;
mod response;
mod server;
mod stream;

#[cfg(test)]
mod crowd_tests;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod flood_tests;
#[cfg(test)]
mod http1_flood_tests;
#[cfg(test)]
mod http2_fixture;
#[cfg(test)]
mod https_tests;

pub use body::{BodyError, read_body};
pub use certificate::{CertificateError, CertificateFiles, CertificatePair, ServerCertificate};
pub use config::{HttpConfig, IsTrusted};
pub use cors::{Routes, with_cors};
pub use methods::with_methods;
pub use problem::ProblemResponse;
pub use quorate_api::ProblemType;
pub use response::{retry_after, text, uncached};
pub use server::{HttpListeners, Server};
pub use stream::BandwidthLimiter;
