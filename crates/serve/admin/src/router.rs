//! The routes of the admin address.

use std::sync::Arc;

use axum::{Router, routing::get};
use quorate_api::path;
use tokio::sync::Mutex;
use utoipa::openapi::OpenApi;

use crate::{
    AdminConfig, AdminNode, Tokens,
    authorize::Authorizer,
    changes, health_router, members, node,
    openapi::{document, full_document},
    operations::Route,
    packets, policy,
    problem::{unknown_method, unknown_path},
    runtime,
    shared::Shared,
    status_metrics::StatusMetrics,
    zones,
};

/// All routes of the admin address, including health. Requests without a token are authorized by
/// the `ConnectInfo` of their connection, which the server must add.
///
/// # Errors
/// The registry already has metrics with these names.
pub fn router(
    node: AdminNode,
    tokens: Arc<Tokens>,
    config: &AdminConfig,
) -> Result<Router, quorate_metrics::Error> {
    let authorizer = Authorizer::new(tokens, config);
    let health = health_router(node.replica.clone(), node.build);
    let shared = Arc::new(Shared {
        status_metrics: StatusMetrics::register(&node.registry)?,
        document: full_document(OPERATION_GROUPS.map(|(_, document)| document()))
            .to_json()
            .expect("an OpenAPI document is JSON")
            .into(),
        digesting: Mutex::new(()),
        node,
    });
    let routes = routes(&authorizer).into_iter();
    let router = routes.fold(Router::new(), |router, (path, methods)| {
        router.route(path, methods)
    });
    Ok(router
        .with_state(shared)
        .merge(health)
        .fallback(unknown_path)
        .method_not_allowed_fallback(unknown_method))
}

/// The routes of a group of operations, and their part of the OpenAPI document.
type OperationGroup = (fn(&Authorizer) -> Vec<Route>, fn() -> OpenApi);

/// All operations of the API, in groups.
const OPERATION_GROUPS: [OperationGroup; 7] = [
    (node::routes, node::document),
    (members::routes, members::document),
    (packets::routes, packets::document),
    (changes::routes, changes::document),
    (policy::routes, policy::document),
    (zones::routes, zones::document),
    (runtime::routes, runtime::document),
];

pub(crate) fn routes(authorizer: &Authorizer) -> Vec<Route> {
    let routes = OPERATION_GROUPS
        .iter()
        .flat_map(|(routes, _)| routes(authorizer));
    routes.chain([(path::OPENAPI, get(document))]).collect()
}
