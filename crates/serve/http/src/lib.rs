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
//! | [`SocketListener`] → [`SocketServer`] | the same on a Unix socket, for users of this machine that its mode permits |
//! | [`ClientStream`], [`Throttle`] | a stream of bytes that is read as slowly as the limits of its client require |
//! | [`CertificateFiles`] → [`ServerCertificate`] | the certificates of all encrypted listeners: from files, reloaded when these change, and one that is set |
//! | [`IsTrusted`], [`BandwidthLimiter`] | which proxies are trusted to name the client, and how long a client has to wait for its bytes |
//! | [`ClientRules`], [`limit_problem`] | who the client of a request is behind proxies, how much it may do, and the answer if it does more |
//! | [`Routes`], [`with_cors`] | a router, with or without CORS for browsers |
//! | [`read_body`], [`BodyError`] | reads a request's body, of limited size, within the server's timeout |
//! | [`ProblemResponse`], [`ProblemType`] | why a request failed (RFC 9457) |
//! | [`text`], [`uncached`], [`retry_after`] | plain text answers, and fields about caching and retries |
//! | [`with_methods`] | the methods of a resource |
//!
//! ## What must hold
//!
//! | rule | enforced in | test |
//! |---|---|---|
//! | no address and no network keeps out others with its connections | `listener/connections.rs` | `an_address_that_holds_all_connections_keeps_out_nobody`, `a_network_at_its_limit_evicts_its_own_oldest`, `at_the_maximum_the_oldest_of_all_is_evicted` |
//! | no client and no network takes all requests under way, and each connection has some | `request_places.rs` | `one_client_cannot_have_more_than_its_share_on_any_number_of_connections`, `many_clients_share_and_each_connection_keeps_the_minimum` |
//! | an answer that its client does not read keeps neither a place nor a connection | `SentBody`, `StreamedBody` | `a_streamed_answer_that_is_not_read_ends_the_connection`, `a_streamed_answer_that_is_not_read_does_not_keep_out_others` |
//! | a client keeps a connection only while it makes progress | deadlines in `config.rs` | `a_client_that_sends_its_header_byte_by_byte_is_disconnected`, `a_client_that_sends_its_body_byte_by_byte_gets_408_and_is_disconnected`, `a_client_that_reads_no_answers_is_disconnected` |
//! | a flood of any kind of frame takes bounded memory, and others are served meanwhile | `Service::new` in `connection.rs` | one test for each kind in `flood_tests.rs` |
//! | timeouts of ordinary requests do not end a request that waits for us | `request_tracker.rs` | `a_request_that_waits_for_the_server_has_no_timeout`, `a_wait_outlasts_the_deadlines_of_other_requests` |
//! | only a trusted proxy is believed about the client | `client` in `protocol.rs` | `a_peer_that_is_not_a_trusted_proxy_is_rejected`, `the_header_of_an_untrusted_peer_is_ignored` |
//! | nobody connects to a Unix socket before its mode is set, and no socket of a live process is replaced | `SocketListener::bind` in `unix.rs` | `only_the_owner_or_the_group_may_connect`, `the_socket_of_a_live_process_is_not_replaced` |
//! | a stop waits for answers in progress, and not for requests that only wait | `Server::shutdown` | `a_server_that_stops_does_not_wait_for_them`, `a_stop_answers_requests_and_ends_connections` |

mod body;
mod certificate;
mod certificate_files;
mod client_rules;
mod config;
mod connection;
mod cors;
mod header_timer;
pub mod listener;
mod methods;
mod problem;
mod protocol;
mod request_id;
mod request_places;
mod request_tracker;
mod response;
mod server;
mod stream;
mod unix;

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
pub use certificate::{CertificateMetrics, ServerCertificate};
pub use certificate_files::{CertificateError, CertificateFiles, CertificatePair};
pub use client_rules::{ClientRules, limit_problem, limit_problem_type};
pub use config::{HttpConfig, IsTrusted};
pub use cors::{Routes, with_cors};
pub use methods::with_methods;
pub use problem::ProblemResponse;
pub use quorate_api::ProblemType;
pub use response::{retry_after, text, uncached};
pub use server::{HttpListeners, Server};
pub use stream::{BandwidthLimiter, ClientStream, HANDSHAKE_COST, Throttle};
pub use unix::{SocketError, SocketListener, SocketServer};
