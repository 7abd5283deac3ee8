//! All routes of the admin address.

use std::sync::Arc;

use axum::{
    Router,
    routing::{MethodRouter, delete, get, post, put},
};
use quorate_api::{IMPORT_SIZE_MAX, POLICY_KEYS_SIZE_MAX, path};
use tokio::sync::Mutex;
use utoipa::OpenApi;

use crate::{
    AdminConfig, Node, Tokens, changes,
    gate::Gate,
    health_router, members, node,
    openapi::{Document, document},
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
    node: Node,
    tokens: Arc<Tokens>,
    config: &AdminConfig,
) -> Result<Router, quorate_metrics::Error> {
    let gate = Gate::new(tokens, config);
    let health = health_router(node.observer.clone(), node.build);
    let shared = Arc::new(Shared {
        status_metrics: StatusMetrics::register(&node.registry)?,
        document: Document::openapi()
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

pub(crate) fn routes(gate: &Gate) -> Vec<(&'static str, MethodRouter<Arc<Shared>>)> {
    let log_filter = gate
        .read(get(runtime::log_filter))
        .merge(gate.operate(put(runtime::set_log_filter)));
    let packet = gate
        .read(get(packets::packet))
        .merge(gate.operate(delete(packets::delete)));
    let publish_tokens = gate
        .read(get(policy::tokens))
        .merge(gate.operate(post(policy::add_token)));
    vec![
        (path::METRICS, gate.metrics(get(node::metrics))),
        (path::STATUS, gate.read(get(node::status))),
        (path::DIGEST, gate.read(get(node::digest))),
        (path::MEMBERS, gate.read(get(members::members))),
        (path::INVITES, gate.operate(post(members::invite))),
        (path::MEMBER, gate.operate(delete(members::remove))),
        (path::PROMOTE, gate.operate(post(members::promote))),
        (path::DEMOTE, gate.operate(post(members::demote))),
        (path::REPLACE, gate.operate(post(members::replace))),
        (path::MOVE, gate.operate(post(members::relocate))),
        (path::TRANSFER, gate.operate(post(members::transfer_leader))),
        (path::PACKETS, gate.read(get(packets::packets))),
        (path::PACKET, packet),
        (path::CHANGES, gate.read(get(changes::changes))),
        (path::DELETIONS, gate.read(get(policy::deletions))),
        (path::POLICY, gate.read(get(policy::policy))),
        (path::POLICY_MODE, gate.operate(post(policy::set_mode))),
        (path::ALLOWED, gate.read(get(policy::allowed))),
        (path::DENIED, gate.read(get(policy::denied))),
        (
            path::POLICY_KEYS,
            gate.operate_up_to(POLICY_KEYS_SIZE_MAX, post(policy::change_keys)),
        ),
        (path::PUBLISH_TOKENS, publish_tokens),
        (
            path::PUBLISH_TOKEN,
            gate.operate(delete(policy::remove_token)),
        ),
        (path::ZONES, gate.read(get(zones::zones))),
        (path::ZONE_RECORDS, gate.read(get(zones::records))),
        (path::SET_RECORDS, gate.operate(post(zones::set))),
        (path::UNSET_RECORDS, gate.operate(post(zones::unset))),
        (
            path::IMPORT_ZONE,
            gate.operate_up_to(IMPORT_SIZE_MAX, post(zones::import)),
        ),
        (path::RELOAD, gate.operate(post(runtime::reload))),
        (path::LOG_FILTER, log_filter),
        (path::OPENAPI, get(document)),
    ]
}
