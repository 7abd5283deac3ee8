//! Links to peers.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::{FutureExt, future::BoxFuture};
use quorate_rpc::{Lane, Link, LinkError, NodeId, Transport};
use tokio::task::JoinHandle;

use crate::{
    Credentials, Metrics, TransportConfig,
    dial::Dialer,
    log_budget::LogBudget,
    remote::{Remote, RouteState},
};

/// How many lines of the log peers cause in a minute by coming and going: a cluster of nine that
/// stops and starts writes each of its links down.
const PEER_LINE_COUNT_PER_MINUTE_MAX: u32 = 64;

/// Opens links to peers over TCP and TLS.
///
/// A dial goes on when its caller has given up, and the next caller for the same peer and lane
/// takes it over: heartbeats have less time than a connection over a long way needs, and would
/// otherwise never get one.
pub struct PeerTransport {
    dialer: Arc<Dialer>,
    log: Arc<LogBudget>,
    /// For each peer and lane that was ever dialed: members only, so it does not grow.
    routes: Mutex<HashMap<(NodeId, Lane), Arc<Route>>>,
}

impl PeerTransport {
    /// A transport of the node with these credentials.
    pub fn new(credentials: Credentials, config: TransportConfig, metrics: Metrics) -> Self {
        Self {
            dialer: Arc::new(Dialer::new(credentials, config, metrics)),
            log: Arc::new(LogBudget::new(PEER_LINE_COUNT_PER_MINUTE_MAX)),
            routes: Mutex::default(),
        }
    }

    fn route(&self, peer: NodeId, lane: Lane) -> Arc<Route> {
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
    ) -> BoxFuture<'static, Result<Link, LinkError>> {
        let route = self.route(peer, lane);
        let remote = Remote {
            peer,
            address: self.dialer.address(peer, address),
            lane,
            route: route.state.clone(),
            log: self.log.clone(),
        };
        let dialer = self.dialer.clone();
        async move { route.open(dialer, remote).await }.boxed()
    }
}

/// One lane to one peer.
#[derive(Default)]
struct Route {
    dial: tokio::sync::Mutex<Option<Dial>>,
    state: Arc<RouteState>,
}

/// A dial under way.
struct Dial {
    address: String,
    link: JoinHandle<Result<Link, LinkError>>,
}

impl Route {
    async fn open(&self, dialer: Arc<Dialer>, remote: Remote) -> Result<Link, LinkError> {
        let mut dial = self.dial.lock().await;
        if let Some(elsewhere) = dial.take_if(|dial| dial.address != remote.address) {
            elsewhere.link.abort();
        }
        loop {
            let had_ended = dial.as_ref().is_some_and(|dial| dial.link.is_finished());
            let under_way = dial.get_or_insert_with(|| Dial {
                address: remote.address.clone(),
                link: tokio::spawn(remote.clone().open(dialer.clone())),
            });
            let ended = (&mut under_way.link).await;
            *dial = None;
            match ended {
                Ok(Ok(link)) => return Ok(link),
                // A failure of before says nothing of now.
                _ if had_ended => {}
                Ok(Err(error)) => return Err(error),
                Err(error) => {
                    let Remote { peer, address, .. } = remote;
                    return Err(LinkError(format!(
                        "the dial to peer {peer} at {address} ended early: {error}"
                    )));
                }
            }
        }
    }
}
