//! DNS over UDP, TCP and HTTPS, answered from the local replica.
//!
//! ```text
//! UDP threads ─┐                                    ┌─▶ options, cookie, limits
//! TCP, TLS ────┼─▶ Responder::respond ─▶ Query ─────┼─▶ Authority ─▶ Replica ─▶ Answer
//! QUIC, HTTPS ─┘   (bytes, client)                  └─▶ Response ─▶ bytes
//! ```
//!
//! What is said is decided in `quorate-authority`; here bytes become questions and answers bytes.
//! Anybody may send anything, so three rules hold: nothing that a message claims makes us reserve
//! memory; a datagram costs no task and no memory beyond its loop's buffers; connections are counted
//! (`quorate-listener`), and each must make progress. All queries go one way, from bytes to bytes: an
//! ordinary one allocates nothing, and waits for nobody. A replica that cannot be read is a SERVFAIL,
//! never a negative answer.
//!
//! | piece | what it is |
//! |---|---|
//! | [`Responder`] | bytes of a query to bytes of a response, for every transport |
//! | [`DnsClient`] | who asks, and by which transport |
//! | [`AnswerLimits`], [`SharedLimits`] | how much goes to addresses that may be forged |
//! | [`DnsConfig`] → [`DnsListeners`] → [`DnsServer`] | the listeners for UDP, TCP, TLS and QUIC |
//! | [`OriginSettings`] | a zone to serve, as it is configured |
//! | [`ConfiguredZones`] | what stands in these zones, for those who add to it |
//! | [`doh_router`] | `GET`, `HEAD` and `POST` at `/dns-query`: messages, and JSON |
//! | [`DnsMetrics`] | what all of them tell Prometheus |
//!
//! hickory-proto reads records of zones, and responses that are wanted in JSON. Its server is not
//! used: it cannot screen datagrams before its parser, starts a task for each and does not count
//! connections.
//!
//! Sources: RFC 1035 (messages), 5001 (NSID), 6891 (EDNS), 7766 and 7828 (TCP), 7830 and 8467
//! (padding), 7873 and 9018 (cookies), 8484 (HTTPS), 8914 (extended errors), 9471 (glue), 9619 (one
//! question), 9715 (sizes over UDP).

mod answer_limits;
mod chaos;
mod client;
mod config;
mod configured;
mod cookie;
#[cfg(test)]
mod cost_tests;
mod doh;
mod edns;
#[cfg(test)]
mod encryption_fixture;
mod extended_error;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod hostile_tests;
mod json;
#[cfg(test)]
mod limits_tests;
mod listen;
mod metrics;
mod opt;
#[cfg(test)]
mod options_tests;
mod origin;
mod query;
mod query_log;
mod quic;
mod rcode;
mod responder;
mod response;
mod sample;
mod server;
mod tcp;
#[cfg(test)]
mod tls_tests;
mod transport;
#[cfg(test)]
mod transports_tests;
mod udp;
mod zones;

pub use answer_limits::{AnswerLimits, SharedLimits};
pub use client::DnsClient;
pub use config::DnsConfig;
pub use configured::ConfiguredZones;
pub use doh::doh_router;
pub use edns::UDP_SIZE_MAX;
pub use listen::ListenAddresses;
pub use metrics::DnsMetrics;
pub use origin::{OriginSettings, SoaSettings};
pub use query::QUERY_SIZE_MAX;
pub use responder::{Responder, Summary};
pub use server::{DnsListeners, DnsServer};
pub use transport::DnsTransport;
