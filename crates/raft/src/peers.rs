//! The links to all peers.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use quorate_rpc::{
    Lane, LogState, NodeId, Transport,
    message::{Request, Response},
};
use tokio::sync::{broadcast, watch};

use crate::{
    connection::CallError,
    exchange::Exchange,
    peer_link::{Introduce, PeerLink, Route},
    presence::{Direction, Presence, Present},
};

/// The lanes that are kept open to every voter: an election or a PUT does not wait for a handshake.
const WARM_LANES: [Lane; 3] = [Lane::Control, Lane::Append, Lane::Forward];

/// The links to all peers, one for each lane, shared by all who call.
pub(crate) struct Peers {
    transport: Arc<dyn Transport>,
    introduce: Introduce,
    exchange: Arc<Exchange>,
    presence: Arc<Presence>,
    /// Of members, so it does not grow.
    links: Mutex<HashMap<(NodeId, Lane), Arc<PeerLink>>>,
}

impl Peers {
    pub(crate) fn new(
        transport: Arc<dyn Transport>,
        introduce: Introduce,
        exchange: Arc<Exchange>,
    ) -> Self {
        Self {
            transport,
            introduce,
            exchange,
            presence: Presence::new(),
            links: Mutex::default(),
        }
    }

    /// Opens the links to `peer` and keeps them open.
    pub(crate) fn connect(&self, peer: NodeId, address: &str) {
        for lane in WARM_LANES {
            self.link(peer, address, lane);
        }
    }

    /// The link to `peer` that all share, kept open from now on. When the address is another one
    /// than before, it is opened anew.
    pub(crate) fn link(&self, peer: NodeId, address: &str, lane: Lane) -> Arc<PeerLink> {
        // Looking up and inserting do not panic halfway.
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        let known = links.get(&(peer, lane));
        if let Some(link) = known.filter(|link| link.address == address) {
            return link.clone();
        }
        let link = Arc::new(self.own_link(peer, address, lane));
        links.insert((peer, lane), link.clone());
        link
    }

    /// A link to `peer` for one user, who drops it.
    pub(crate) fn own_link(&self, peer: NodeId, address: &str, lane: Lane) -> PeerLink {
        PeerLink::open(Route {
            transport: self.transport.clone(),
            introduce: self.introduce.clone(),
            exchange: self.exchange.clone(),
            presence: self.presence.clone(),
            peer,
            address: address.to_owned(),
            lane,
        })
    }

    /// Asks `leader` on the lane of proposals and read indexes.
    pub(crate) async fn forward(
        &self,
        leader: NodeId,
        address: &str,
        request: Request,
    ) -> Result<Response, CallError> {
        let link = self.link(leader, address, Lane::Forward);
        link.call(request).await
    }

    /// Counts a link that `peer` has opened, until what it returns is dropped.
    pub(crate) fn on_accepted(&self, peer: NodeId) -> Present {
        self.presence.enter(peer, Direction::Accepted)
    }

    /// Peers whose host has closed the links to or from them, from now on: most likely the process
    /// there has ended. What times out here is not among them.
    pub(crate) fn hangups(&self) -> broadcast::Receiver<NodeId> {
        self.presence.hangups()
    }

    /// What each peer that was reached since the start last said of its log.
    pub(crate) fn logs(&self) -> watch::Receiver<BTreeMap<NodeId, LogState>> {
        self.presence.logs()
    }

    pub(crate) fn exchange(&self) -> &Arc<Exchange> {
        &self.exchange
    }
}
