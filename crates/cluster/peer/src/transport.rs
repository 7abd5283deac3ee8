//! Opens links to peers.

use std::{num::NonZeroUsize, sync::Arc};

use futures_util::{FutureExt, future::BoxFuture};

use crate::{
    Identity, Introduce, Link, LinkError, LogBudget, NodeId, PeerMetrics, StreamKind, Transport,
    TransportConfig,
    connector::Connector,
    recent::Recent,
    remote::{Remote, RouteState},
};

/// How many log lines peers can cause in a minute by connecting and disconnecting: enough for every
/// link of a cluster of nine that restarts.
const PEER_LINE_COUNT_PER_MINUTE_MAX: u32 = 64;

/// For how many streams to peers the state of the last link is kept: enough for two hundred
/// members. With more, unchanged states are logged again.
const ROUTE_COUNT_MAX: NonZeroUsize = NonZeroUsize::new(1000).expect("it is not zero");

/// Opens links to peers over TCP and TLS.
pub struct PeerTransport {
    connector: Arc<Connector>,
    metrics: PeerMetrics,
    log: Arc<LogBudget>,
    /// The most recently dialed peers and streams.
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
