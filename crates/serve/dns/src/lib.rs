//! The DNS server: answers queries over UDP, TCP, TLS, QUIC and HTTPS from the local replica.
//!
//! ```text
//! UDP threads ─┐                                    ┌─▶ options, cookie, limits
//! TCP, TLS ────┼─▶ Responder::respond ─▶ Query ─────┼─▶ Authority ─▶ Replica ─▶ Answer
//! QUIC, HTTPS ─┘   (bytes, client)                  └─▶ Response ─▶ bytes
//! ```
//!
//! `quorate-zone` decides the answers; this crate converts bytes to questions and answers to bytes.
//! Anybody may send anything, so three rules hold. Nothing that a message claims makes the server
//! reserve memory. A datagram costs no task, and no memory beyond the buffers of its thread, except
//! for the few that wait for the DHT.
//! Connections are counted (`quorate_http::listener`), and each must make progress. All queries
//! take the same path, from bytes to bytes: an ordinary one allocates nothing, and waits for
//! nothing. A replica that cannot be read is a SERVFAIL, never a negative answer.
//!
//! A key that is not stored may have a packet in the Mainline DHT, if the operator has switched that
//! on. Who reads a query gets its key then, and answers after the lookup: `Responder::respond` never
//! waits. A datagram with a valid cookie takes one of 1,024 places to wait in; a connection waits
//! itself.
//!
//! Zones change beside the queries: a task of [`DnsServer`] builds those whose replicated records
//! changed, and queries are answered from the zones before until the new ones are swapped in. After
//! a start, no name of a zone is answered before the zones include what the replica had.
//!
//! | piece | what it is |
//! |---|---|
//! | [`Responder`] | turns the bytes of a query into the bytes of a response, for every transport |
//! | [`DnsClient`] | the address and the transport of a client |
//! | [`AnswerLimits`], [`SharedLimits`] | limits on responses to addresses that may be forged |
//! | [`DnsConfig`] → [`DnsListeners`] → [`DnsServer`] | the listeners for UDP, TCP, TLS and QUIC |
//! | [`DnsDht`] | where queries look up keys that the replica does not have |
//! | [`ConnectionRules`] | how the clients of connections are limited, and which proxies name them |
//! | [`OriginSettings`] | a zone to serve, as it is configured |
//! | [`ConfiguredZones`] | the configured records, for code that adds replicated records to them |
//! | [`doh_router`] | `GET`, `HEAD` and `POST` at `/dns-query`: messages, and JSON |
//! | [`DnsMetrics`] | the metrics of all of them |
//!
//! hickory-proto parses responses that a client wants in JSON, and builds JSON queries. Its server
//! is not used: it cannot filter datagrams before its parser, starts a task for each datagram and
//! does not count connections.
//!
//! ## Responses other than records
//!
//! | what happened | response |
//! |---|---|
//! | no such name; a name without this type; a name of no zone here | NXDOMAIN with SOA; NOERROR with SOA; REFUSED with extended error 20 (18 for a zone transfer) |
//! | a zone cut; for type DS at the cut | NOERROR with NS, without AA; the DS records, or NOERROR with SOA |
//! | a DNAME leads to a name that is too long | YXDOMAIN |
//! | the node has not caught up, or not built its zones; a packet cannot be decoded; the replica cannot be read | SERVFAIL with extended error 14; 24; 0. Never a negative answer |
//! | not stored, and the DHT has not answered | SERVFAIL with extended error 22 |
//! | the same, for a datagram without a valid cookie | NOERROR with TC and no record |
//! | malformed, or not exactly one question; another opcode than QUERY; a later EDNS version | FORMERR; NOTIMP with extended error 21; BADVERS |
//! | over UDP: a cookie that is not ours | BADCOOKIE and a valid cookie |
//! | over UDP: above the rate, or too long for a client without a cookie | NOERROR with TC and no record |
//! | type ANY | one HINFO record (RFC 8482) |
//! | class CH, `id.server` and the like | the configured text, else REFUSED with extended error 18 |
//! | shorter than a header, or a response | nothing; over TCP, TLS and QUIC the connection ends |
//!
//! Sources: RFC 1035 (messages), 5001 (NSID), 6891 (EDNS), 7766 and 7828 (TCP), 7830 and 8467
//! (padding), 7873 and 9018 (cookies), 8484 (HTTPS), 8914 (extended errors), 9471 (glue), 9619 (one
//! question), 9715 (sizes over UDP).

mod answer_error;
mod answer_limits;
mod chaos;
mod client;
mod config;
mod configured;
mod connection_rules;
mod cookie;
#[cfg(test)]
mod cost_tests;
mod dht;
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
mod look_up;
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
#[cfg(test)]
mod zone_cost_tests;
mod zones;

pub use answer_limits::{AnswerLimits, SharedLimits};
pub use client::DnsClient;
pub use config::DnsConfig;
pub use configured::ConfiguredZones;
pub use connection_rules::ConnectionRules;
pub use dht::DnsDht;
pub use doh::doh_router;
pub use edns::UDP_SIZE_MAX;
pub use metrics::DnsMetrics;
pub use origin::{OriginSettings, SoaSettings};
pub use query::QUERY_SIZE_MAX;
pub use responder::{Responder, ResponseSummary};
pub use server::{DnsListeners, DnsServer};
pub use transport::DnsTransport;
