//! The relay's routes.

use std::sync::Arc;

use axum::{
    Router,
    extract::Request,
    http::HeaderValue,
    response::{IntoResponse, Response},
    routing::{self, MethodRouter},
};
use quorate_http::{ProblemResponse, ProblemType, method_not_allowed, options};
use quorate_replica::Replica;

use crate::{RelayConfig, RelayMetrics, events, get, page, put, relay::Relay, watchers::Watchers};

/// The methods of a packet.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, PUT, OPTIONS");

/// The methods of what is only read: the page, and the events of a packet.
const READ_METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");

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
    let methods = MethodRouter::new()
        .get(get::get)
        .put(put::put)
        // Costs no quota: a browser asks before each PUT, and the client cannot see to it.
        .options(async || options(METHODS))
        .fallback(async || {
            method_not_allowed(METHODS, "a packet can be PUT, and read by GET or HEAD")
        });
    let read = |read: MethodRouter<Arc<Relay>>, said: &'static str| {
        read.options(async || options(READ_METHODS))
            .fallback(async move || method_not_allowed(READ_METHODS, said))
    };
    let page = read(
        routing::get(page::page),
        "the page can be read by GET or HEAD",
    );
    let events = read(routing::get(events::events), "events can only be read");
    Router::new()
        .route("/", page)
        .route("/pkarr/{z32}", methods.clone())
        .route("/{z32}", methods)
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
