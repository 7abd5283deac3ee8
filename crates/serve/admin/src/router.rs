//! All routes of the admin address.

use std::sync::Arc;

use axum::{Router, routing::get};
use quorate_api::path;
use tokio::sync::Mutex;
use utoipa::openapi::OpenApi;

use crate::{
    AdminConfig, AdminNode, Tokens, changes,
    gate::Gate,
    health_router, members, node,
    openapi::{document, whole},
    operations::Route,
    packets, policy,
    problem::{unknown_method, unknown_path},
    runtime,
    shared::Shared,
    status_metrics::StatusMetrics,
    zones,
};

/// All routes of the admin address, health included. Requests without a token are let in by the
/// `ConnectInfo` of their connection, which the server has to give.
///
/// # Errors
/// The registry has figures of these names already.
pub fn router(
    node: AdminNode,
    tokens: Arc<Tokens>,
    config: &AdminConfig,
) -> Result<Router, quorate_metrics::Error> {
    let gate = Gate::new(tokens, config);
    let health = health_router(node.replica.clone(), node.build);
    let shared = Arc::new(Shared {
        status_metrics: StatusMetrics::register(&node.registry)?,
        document: whole(FAMILIES.map(|(_, document)| document()))
            .to_json()
            .expect("a document of OpenAPI is JSON")
            .into(),
        digesting: Mutex::new(()),
        node,
    });
    let routes = routes(&gate).into_iter();
    let router = routes.fold(Router::new(), |router, (path, methods)| {
        router.route(path, methods)
    });
    Ok(router
        .with_state(shared)
        .merge(health)
        .fallback(unknown_path)
        .method_not_allowed_fallback(unknown_method))
}

/// The routes of some operations, and what the OpenAPI document tells of them.
type Family = (fn(&Gate) -> Vec<Route>, fn() -> OpenApi);

/// All operations of the API, by subject.
const FAMILIES: [Family; 7] = [
    (node::routes, node::document),
    (members::routes, members::document),
    (packets::routes, packets::document),
    (changes::routes, changes::document),
    (policy::routes, policy::document),
    (zones::routes, zones::document),
    (runtime::routes, runtime::document),
];

pub(crate) fn routes(gate: &Gate) -> Vec<Route> {
    let routes = FAMILIES.iter().flat_map(|(routes, _)| routes(gate));
    routes.chain([(path::OPENAPI, get(document))]).collect()
}
