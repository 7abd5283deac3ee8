//! The routes of the admin address.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::{ConnectInfo, Request},
    middleware::map_request,
    routing::get,
};
use quorate_api::path;
use tokio::sync::Mutex;
use utoipa::openapi::OpenApi;

use crate::{
    AdminConfig, AdminNode, Tokens,
    audit::AuditLog,
    authorize::{Authorizer, Entrance},
    changes, dht, health_router, members, node,
    openapi::{document, full_document},
    operations::Route,
    packets, policy,
    problem::{unknown_method, unknown_path},
    runtime, secrets,
    shared::Shared,
    status_metrics::StatusMetrics,
    zones,
};

/// The routes of the admin API, including health, for the two ways to reach it. They differ in what
/// needs a token.
pub struct AdminRouters {
    /// For the addresses. Which requests for metrics need no token is decided by the `ConnectInfo`
    /// of their connection, which the server must add.
    pub tcp: Router,
    /// For the Unix socket, where nothing needs a token.
    pub socket: Router,
}

/// All routes of the admin API.
///
/// # Errors
/// The registry already has metrics with these names.
pub fn routers(
    node: AdminNode,
    tokens: &Arc<Tokens>,
    config: &AdminConfig,
) -> Result<AdminRouters, quorate_metrics::Error> {
    let health = health_router(node.replica.clone(), node.dht.clone(), node.build);
    let shared = Arc::new(Shared {
        status_metrics: StatusMetrics::register(&node.registry, node.build)?,
        document: full_document(OPERATION_GROUPS.map(|(_, document)| document()))
            .to_json()
            .expect("an OpenAPI document is JSON")
            .into(),
        digesting: Mutex::new(()),
        node,
    });
    let audit = AuditLog::new();
    let router = |entrance| {
        let authorizer = Authorizer::new(tokens.clone(), config, entrance, audit.clone());
        let routes = routes(&authorizer).into_iter();
        let router = routes.fold(Router::new(), |router, (path, methods)| {
            router.route(path, methods)
        });
        router
            .with_state(shared.clone())
            .merge(health.clone())
            .fallback(unknown_path)
            .method_not_allowed_fallback(unknown_method)
    };
    Ok(AdminRouters {
        tcp: router(Entrance::Tcp),
        socket: router(Entrance::Socket).layer(map_request(without_address)),
    })
}

/// Clients of the socket have no addresses.
async fn without_address(mut request: Request) -> Request {
    request.extensions_mut().remove::<ConnectInfo<SocketAddr>>();
    request
}

/// The routes of a group of operations, and their part of the OpenAPI document.
type OperationGroup = (fn(&Authorizer) -> Vec<Route>, fn() -> OpenApi);

/// All operations of the API, in groups.
const OPERATION_GROUPS: [OperationGroup; 9] = [
    (node::routes, node::document),
    (members::routes, members::document),
    (packets::routes, packets::document),
    (changes::routes, changes::document),
    (policy::routes, policy::document),
    (zones::routes, zones::document),
    (dht::routes, dht::document),
    (secrets::routes, secrets::document),
    (runtime::routes, runtime::document),
];

pub(crate) fn routes(authorizer: &Authorizer) -> Vec<Route> {
    let routes = OPERATION_GROUPS
        .iter()
        .flat_map(|(routes, _)| routes(authorizer));
    let document = authorizer.route("read", None, get(document));
    routes.chain([(path::OPENAPI, document)]).collect()
}
