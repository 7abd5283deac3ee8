//! The one HTTP server under every router; no routes of its own.
//!
//! Plain connections speak HTTP/1.1, or HTTP/2 from the first byte; those over TLS what was agreed on
//! in the handshake.
//!
//! A client can hold a connection only while it makes progress: the handshake, the header of each
//! request, its body and the taking of the answer have a timeout each, and a connection without a
//! request under way is closed after a while. When all places are taken, the connection that was idle
//! the longest gives way, and one that waits for its client counts as idle; so who holds many shuts
//! out itself. A request that waits for us, as for a change of a packet, has no timeout here.
//!
//! Each request carries `ConnectInfo<SocketAddr>` of axum and has an id in `X-Request-Id`, which its
//! answer repeats and its log lines show. A client that still writes when it is refused is read for
//! a while, so that it sees why (RFC 9112, section 9.6).
//!
//! | piece | what it is |
//! |---|---|
//! | [`HttpConfig`] → [`HttpListeners`] → [`Server`] | HTTP for any router, safe against slow clients and floods |
//! | [`Trust`], [`Charge`] | which proxies are believed who the client is, and what its bytes cost |
//! | [`Routes`], [`with_cors`] | a router, and one of which browsers may use every answer |
//! | [`read_body`], [`BodyError`] | a request's body, of limited size, within the server's timeout |
//! | [`ProblemResponse`], [`ProblemType`] | why a request was refused (RFC 9457) |
//! | [`text`], [`uncached`], [`retry_after`] | answers of text, and what they say of time |
//! | [`with_methods`] | which methods a resource has |

mod activity;
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
pub use config::{HttpConfig, Trust};
pub use cors::{Routes, with_cors};
pub use methods::with_methods;
pub use problem::ProblemResponse;
pub use quorate_api::ProblemType;
pub use response::{retry_after, text, uncached};
pub use server::{HttpListeners, Server};
pub use stream::Charge;
