//! The relay's routes.

use std::sync::Arc;

use axum::{
    Router,
    extract::Request,
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing,
};
use quorate_http::{ProblemResponse, ProblemType, with_methods};
use quorate_packet::Z32_LEN;
use quorate_replica::Replica;

use crate::{RelayConfig, RelayMetrics, events, get, page, put, relay::Relay, watchers::Watchers};

/// The methods of resources that can only be read: the page, and the events of a packet.
const READ_METHODS: &str = "GET, HEAD, OPTIONS";

/// The relay's routes, and the answer to all unknown paths.
///
/// They read the client's address from `ConnectInfo<SocketAddr>`, which the HTTP server adds to
/// each request. A path of one segment that no other route matches is parsed as a key if it is as
/// long as one.
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
        "a packet can be written with PUT, and read with GET or HEAD",
    );
    let page = with_methods(
        routing::get(page::page),
        READ_METHODS,
        "the page can only be read: use GET or HEAD",
    );
    let events = with_methods(
        routing::get(events::events),
        READ_METHODS,
        "events can only be read: use GET or HEAD",
    );
    Router::new()
        .route("/", page)
        .route("/pkarr/{z32}", packet.clone())
        .route("/{z32}", packet.layer(from_fn(only_keys)))
        .route("/pkarr/{z32}/events", events.clone())
        .route("/{z32}/events", events.layer(from_fn(only_keys)))
        .fallback(unknown_path)
        .with_state(relay)
}

/// Passes on requests whose path begins with what may be a key. Others, such as `/metrics`, are for
/// something that is not served here.
async fn only_keys(request: Request, next: Next) -> Response {
    let first = request.uri().path().split('/').nth(1);
    match first.is_some_and(|segment| segment.len() == Z32_LEN) {
        true => next.run(request).await,
        false => unknown_path(request).await,
    }
}

async fn unknown_path(_: Request) -> Response {
    let detail = "unknown path: the path of a packet is /pkarr/ followed by its key in z-base-32";
    ProblemResponse::new(ProblemType::UnknownPath, detail).into_response()
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
