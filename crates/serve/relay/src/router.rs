//! The relay's routes.

use std::sync::Arc;

use axum::{
    Router,
    extract::Request,
    response::{IntoResponse, Response},
    routing,
};
use quorate_http::{ProblemResponse, ProblemType, with_methods};
use quorate_replica::Replica;

use crate::{RelayConfig, RelayMetrics, events, get, page, put, relay::Relay, watchers::Watchers};

/// The methods of what is only read: the page, and the events of a packet.
const READ_METHODS: &str = "GET, HEAD, OPTIONS";

/// The relay's routes, and the answer to all paths that no router has.
///
/// They know the client's address by `ConnectInfo<SocketAddr>`, which the HTTP server gives each
/// request. Paths of one segment that no other route takes are read as keys.
pub fn router(replica: Arc<dyn Replica>, config: RelayConfig, metrics: RelayMetrics) -> Router {
    let relay = Arc::new(Relay {
        watchers: Watchers::new(config.watch.clone(), metrics.clone()),
        replica,
        config,
        metrics,
    });
    let packet = with_methods(
        routing::get(get::get).put(put::put),
        "GET, HEAD, PUT, OPTIONS",
        "a packet can be PUT, and read by GET or HEAD",
    );
    let page = with_methods(
        routing::get(page::page),
        READ_METHODS,
        "the page can be read by GET or HEAD",
    );
    let events = with_methods(
        routing::get(events::events),
        READ_METHODS,
        "events can only be read",
    );
    Router::new()
        .route("/", page)
        .route("/pkarr/{z32}", packet.clone())
        .route("/{z32}", packet)
        .route("/pkarr/{z32}/events", events.clone())
        .route("/{z32}/events", events)
        .fallback(unknown_path)
        .with_state(relay)
}

async fn unknown_path(_: Request) -> Response {
    let said = "there is nothing here: a packet is at /pkarr/ and its key in z-base-32";
    ProblemResponse::new(ProblemType::UnknownPath, said).into_response()
}

#[cfg(test)]
#[path = "router_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "socket_tests.rs"]
mod socket_tests;

#[cfg(test)]
#[path = "cost_tests.rs"]
mod cost_tests;
