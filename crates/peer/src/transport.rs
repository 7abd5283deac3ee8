//! Links to peers.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::{FutureExt, future::BoxFuture};
use quorate_rpc::{Introduction, Lane, Link, LinkError, NodeId, Transport};
use quorate_tls::Identity;

use crate::{
    Metrics, TransportConfig,
    dial::Dialer,
    log_budget::LogBudget,
    remote::{Remote, RouteState},
};

/// How many lines of the log peers cause in a minute by coming and going: a cluster of nine that
/// stops and starts writes each of its links down.
const PEER_LINE_COUNT_PER_MINUTE_MAX: u32 = 64;

/// Opens links to peers over TCP and TLS.
pub struct PeerTransport {
    dialer: Arc<Dialer>,
    log: Arc<LogBudget>,
    /// For each peer and lane that was ever dialed: members only, so it does not grow.
    routes: Mutex<HashMap<(NodeId, Lane), Arc<RouteState>>>,
}

impl PeerTransport {
    /// A transport of the node with this identity.
    pub fn new(identity: Identity, config: TransportConfig, metrics: Metrics) -> Self {
        Self::of(Dialer::new(identity, config, metrics))
    }

    pub(crate) fn of(dialer: Dialer) -> Self {
        Self {
            dialer: Arc::new(dialer),
            log: Arc::new(LogBudget::new(PEER_LINE_COUNT_PER_MINUTE_MAX)),
            routes: Mutex::default(),
        }
    }

    fn route(&self, peer: NodeId, lane: Lane) -> Arc<RouteState> {
        // Looking up and inserting do not panic halfway.
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        routes.entry((peer, lane)).or_default().clone()
    }
}

impl Transport for PeerTransport {
    fn open(
        &self,
        peer: NodeId,
        address: String,
        lane: Lane,
        introduction: Introduction,
    ) -> BoxFuture<'static, Result<Link, LinkError>> {
        let remote = Remote {
            peer,
            address,
            lane,
            introduction,
            route: self.route(peer, lane),
            log: self.log.clone(),
        };
        remote.open(self.dialer.clone()).boxed()
    }
}
