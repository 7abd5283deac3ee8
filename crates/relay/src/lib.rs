//! The pkarr HTTP relay, and the HTTP server that carries it.
//!
//! A packet that a client PUTs is verified here, once, and handed to the [`Replica`]; a GET is
//! answered from the local replica. Three rules hold for every request: it gets an answer within a
//! deadline, an answer that says what was wrong, and what it makes the process keep is bounded.
//!
//! | piece | what it is |
//! |---|---|
//! | [`router`] | `PUT`, `GET`, `HEAD` and `OPTIONS` at `/pkarr/{z32}` and `/{z32}` |
//! | [`Config`] | limits and deadlines of the relay |
//! | [`with_cors`] | lets browsers use every answer of a router: the last layer around all routers |
//! | [`ServerConfig`] → [`Bound`] → [`Server`] | HTTP/1.1 for any router, safe against slow clients |
//! | [`Metrics`], [`ServerMetrics`] | what both tell Prometheus |
//!
//! The server puts `ConnectInfo<SocketAddr>` of axum into each request. Sources:
//! `design/relays.md` of pubky/pkarr, RFC 9110 (semantics, conditions), RFC 9111 (caching).
//!
//! [`Replica`]: quorate_replica::Replica

mod conditions;
mod cors;
#[cfg(test)]
mod fake;
mod freshness;
mod get;
mod impatient;
mod metrics;
mod put;
mod relay;
mod server;
mod standing;

pub use cors::with_cors;
pub use metrics::{Listener, Metrics, ServerMetrics};
pub use relay::{Config, router};
pub use server::{BindError, Bound, Server, ServerConfig};
