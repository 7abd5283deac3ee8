//! Links to peers.

use std::{num::NonZeroUsize, sync::Arc};

use futures_util::{FutureExt, future::BoxFuture};

use crate::{
    Identity, Introduce, Link, LinkError, NodeId, PeerMetrics, StreamKind, Transport,
    TransportConfig,
    connector::Connector,
    log_budget::LogBudget,
    recent::Recent,
    remote::{Remote, RouteState},
};

/// How many lines of the log peers cause in a minute by coming and going: a cluster of nine that
/// stops and starts writes each of its links down.
const PEER_LINE_COUNT_PER_MINUTE_MAX: u32 = 64;

/// For how many streams to peers it is remembered how the last link fared: all of two hundred members.
/// With more of them, what is no news is logged again.
const ROUTE_COUNT_MAX: NonZeroUsize = NonZeroUsize::new(1000).expect("it is not zero");

/// Opens links to peers over TCP and TLS.
pub struct PeerTransport {
    connector: Arc<Connector>,
    metrics: PeerMetrics,
    log: Arc<LogBudget>,
    /// Of the peers and streams that were dialed last.
    routes: Recent<(NodeId, StreamKind), Arc<RouteState>>,
}

impl PeerTransport {
    /// A transport of the node with this identity.
    pub fn new(identity: Identity, config: TransportConfig, metrics: PeerMetrics) -> Self {
        Self::of(Connector::new(identity, config), metrics)
    }

    pub(crate) fn of(connector: Connector, metrics: PeerMetrics) -> Self {
        Self {
            connector: Arc::new(connector),
            metrics,
            log: Arc::new(LogBudget::new(PEER_LINE_COUNT_PER_MINUTE_MAX)),
            routes: Recent::new(ROUTE_COUNT_MAX),
        }
    }
}

impl Transport for PeerTransport {
    fn open(
        &self,
        peer: NodeId,
        address: String,
        stream_kind: StreamKind,
        introduce: Introduce,
    ) -> BoxFuture<'static, Result<Link, LinkError>> {
        let remote = Remote {
            peer,
            address,
            stream_kind,
            route: self.routes.of((peer, stream_kind)),
            log: self.log.clone(),
            metrics: self.metrics.clone(),
        };
        remote.open(self.connector.clone(), introduce).boxed()
    }
}
