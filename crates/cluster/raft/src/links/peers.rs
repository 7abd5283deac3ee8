//! The links to all peers.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};

use quorate_peer::{
    Lane, LinkError, NodeId, Transport, lock,
    message::{Request, Response},
};

use crate::{
    clocks::exchange::Exchange,
    links::connection::CallError,
    links::peer_link::{PeerLink, Route},
    links::presence::Presence,
    membership::roster::Roster,
};

/// The lanes that are kept open to every member: an election or a PUT does not wait for a handshake.
const WARM_LANES: [Lane; 3] = [Lane::Control, Lane::Append, Lane::Forward];

/// The links to all peers, one for each lane, shared by all who call.
pub(crate) struct Peers {
    transport: Arc<dyn Transport>,
    pub(crate) roster: Arc<Roster>,
    exchange: Arc<Exchange>,
    /// Which links there are, and what peers said when those were opened.
    pub(crate) presence: Arc<Presence>,
    links: Mutex<Links>,
}

/// Links of members and to where they lead. Others go when the members are set next.
#[derive(Default)]
struct Links {
    addresses: BTreeMap<NodeId, String>,
    open: HashMap<(NodeId, Lane), Arc<PeerLink>>,
}

impl Peers {
    pub(crate) fn new(
        transport: Arc<dyn Transport>,
        roster: Arc<Roster>,
        exchange: Arc<Exchange>,
    ) -> Self {
        Self {
            transport,
            roster,
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

    /// Keeps the links to all `members` but this node open, where they are now, and ends those to
    /// everybody else.
    pub(crate) fn set_members(&self, own: NodeId, members: &BTreeMap<NodeId, String>) {
        let mut others = members.clone();
        others.remove(&own);
        let mut links = lock(&self.links);
        links.open.retain(|(peer, _), link| {
            let stays = others.get(peer) == Some(&link.address);
            if !stays {
                let text = format!("peer {peer} is no member any more, or elsewhere");
                link.close(LinkError::Failed(text));
            }
            stays
        });
        links.addresses.clone_from(&others);
        drop(links);
        for (peer, address) in &others {
            self.connect(*peer, address);
        }
        self.presence.retain(|peer| others.contains_key(&peer));
        self.exchange.retain(|peer| others.contains_key(&peer));
    }

    /// The link to `peer` that all share, kept open from now on. Of a member the address counts that
    /// is known of it, and `address` of others. When it is another one than before, the link is
    /// opened anew.
    pub(crate) fn link(&self, peer: NodeId, address: &str, lane: Lane) -> Arc<PeerLink> {
        let mut links = lock(&self.links);
        let address = links.address(peer, address);
        let known = links.open.get(&(peer, lane));
        if let Some(link) = known.filter(|link| link.address == address) {
            return link.clone();
        }
        let link = self.open(peer, address, lane);
        links.open.insert((peer, lane), link.clone());
        link
    }

    /// A link to `peer` for one user, who drops it.
    pub(crate) fn own_link(&self, peer: NodeId, address: &str, lane: Lane) -> Arc<PeerLink> {
        let address = lock(&self.links).address(peer, address);
        self.open(peer, address, lane)
    }

    fn open(&self, peer: NodeId, address: String, lane: Lane) -> Arc<PeerLink> {
        Arc::new(PeerLink::open(Route {
            transport: self.transport.clone(),
            roster: self.roster.clone(),
            exchange: self.exchange.clone(),
            presence: self.presence.clone(),
            peer,
            address,
            lane,
        }))
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
}

impl Links {
    /// Where `peer` is: `told` if it is no member.
    fn address(&self, peer: NodeId, told: &str) -> String {
        self.addresses
            .get(&peer)
            .map_or(told, String::as_str)
            .to_owned()
    }
}
