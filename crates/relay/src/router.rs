//! The relay's routes.

use std::sync::Arc;

use axum::{Router, http::HeaderValue, routing::MethodRouter};
use quorate_http::{method_not_allowed, options};
use quorate_replica::Replica;

use crate::{Config, Metrics, get, put, relay::Relay, replica_state::ReplicaStateCache};

/// The methods of a packet.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, PUT, OPTIONS");

/// The relay's routes.
///
/// They know the client's address by `ConnectInfo<SocketAddr>`, which the HTTP server gives each
/// request. Paths of one segment that no other route takes are read as keys.
pub fn router(replica: Arc<dyn Replica>, config: Config, metrics: Metrics) -> Router {
    let relay = Arc::new(Relay {
        state: ReplicaStateCache::new(replica.clone()),
        replica,
        config,
        metrics,
    });
    let methods = MethodRouter::new()
        .get(get::get)
        .put(put::put)
        // Costs no quota: a browser asks before each PUT, and the client cannot see to it.
        .options(async || options(METHODS))
        .fallback(async || {
            method_not_allowed(METHODS, "a packet can be PUT, and read by GET or HEAD")
        });
    Router::new()
        .route("/pkarr/{z32}", methods.clone())
        .route("/{z32}", methods)
        .with_state(relay)
}

#[cfg(test)]
#[path = "router_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "socket_tests.rs"]
mod socket_tests;
