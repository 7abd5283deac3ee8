//! Health checks for supervisors, load balancers and monitors.

use std::sync::Arc;

use axum::{Json, Router, extract::State, http::StatusCode, response::Response, routing::get};
use quorate_http::{text, uncached};
use quorate_replica::{
    ClockState, DhtOperator, DhtStatus, LogIndex, NodeClock, NodeStatus, NotReady, Observer, Role,
};
use serde::Serialize;

/// The version of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Build {
    /// Its version.
    pub version: &'static str,
    /// The commit that it was built from, or `unknown`.
    pub git_hash: &'static str,
}

/// `/livez`, `/readyz` and `/healthz`.
///
/// A node that knows no leader is not ready, because PUTs would wait. But it is healthy: it answers
/// reads and DNS, and a load balancer must not drop a cluster without quorum. A node whose disk is
/// nearly full is ready, because it serves reads.
pub fn health_router(
    replica: Arc<dyn Observer>,
    dht: Option<Arc<dyn DhtOperator>>,
    build: Build,
) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/healthz", get(healthz))
        .with_state(Shared {
            replica,
            dht,
            build,
        })
}

#[derive(Clone)]
struct Shared {
    replica: Arc<dyn Observer>,
    dht: Option<Arc<dyn DhtOperator>>,
    build: Build,
}

async fn livez(State(shared): State<Shared>) -> Response {
    uncached(match shared.replica.status().not_ready {
        Some(reason @ NotReady::Failed) => text(StatusCode::SERVICE_UNAVAILABLE, reason),
        _ => text(StatusCode::OK, "alive"),
    })
}

async fn readyz(State(shared): State<Shared>) -> Response {
    let node = shared.replica.status();
    uncached(match node.not_ready {
        Some(reason) => text(StatusCode::SERVICE_UNAVAILABLE, reason),
        None => {
            let ready = match node.disk_full {
                true => "ready for reads: the disk is nearly full, so PUTs are rejected",
                false => "ready",
            };
            let dht = shared.dht.map(|dht| dht_line(&dht.status()));
            text(StatusCode::OK, ready.to_owned() + &dht.unwrap_or_default())
        }
    })
}

/// For information: without the DHT a node is ready, too.
fn dht_line(dht: &DhtStatus) -> String {
    match dht.routing_nodes {
        0 => "\nthe DHT cannot be reached".to_owned(),
        nodes => format!("\nthe DHT is reached, and {nodes} of its nodes are known"),
    }
}

/// The first keys are those of iroh-dns-server 1.4, so that a monitor for it works here.
#[derive(Serialize)]
struct Health {
    status: &'static str,
    version: &'static str,
    git_hash: &'static str,
    node: String,
    role: Role,
    leader: Option<String>,
    applied_index: LogIndex,
    clock: NodeClock,
    not_ready: Option<NotReady>,
    disk_full: bool,
}

/// The state for monitors, and the status that tells load balancers whether to use the node.
fn health(node: &NodeStatus) -> (&'static str, StatusCode) {
    match node.not_ready {
        None if !node.disk_full && node.clock.state == ClockState::Agreed => ("ok", StatusCode::OK),
        // It serves all reads and DNS, and needs an operator.
        None | Some(NotReady::NoLeader | NotReady::Restored(_)) => ("degraded", StatusCode::OK),
        Some(_) => ("unavailable", StatusCode::SERVICE_UNAVAILABLE),
    }
}

async fn healthz(State(shared): State<Shared>) -> Response {
    let node = shared.replica.status();
    let (word, status) = health(&node);
    let health = Health {
        status: word,
        version: shared.build.version,
        git_hash: shared.build.git_hash,
        node: node.node,
        role: node.role,
        leader: node.leader,
        applied_index: node.applied_index,
        clock: node.clock,
        not_ready: node.not_ready,
        disk_full: node.disk_full,
    };
    uncached((status, Json(health)))
}
