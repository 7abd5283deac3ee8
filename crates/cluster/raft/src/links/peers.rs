//! The links to all peers.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex},
};

use quorate_peer::{
    LinkError, LogBudget, NodeId, StreamKind, Transport, lock,
    message::{Request, Response},
};

use crate::{
    RaftMetrics,
    clocks::gossip::PeerGossip,
    links::connection::CallError,
    links::link_tracker::LinkTracker,
    links::peer_link::{LinkConfig, PeerLink},
    membership::membership_view::MembershipView,
};

/// The most log lines per minute about rejected messages of peers.
const LINE_COUNT_PER_MINUTE_MAX: u32 = 10;

/// Which members vote, as far as this node knows. This decides which streams it keeps open.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct MemberRoles {
    /// Whether this node is a voter, and so may lead.
    pub(crate) votes: bool,
    /// The other members that are learners. Any other node may lead.
    pub(crate) learners: BTreeSet<NodeId>,
}

impl MemberRoles {
    /// The streams that are kept open to `peer`, so that neither an election nor a PUT waits for a
    /// handshake. A voter requests votes and sends entries, and every node forwards PUTs to nodes that
    /// may lead. Learners send each other nothing.
    fn wanted_streams(&self, peer: NodeId) -> &'static [StreamKind] {
        match (self.votes, self.learners.contains(&peer)) {
            (true, false) => &[StreamKind::Control, StreamKind::Append, StreamKind::Forward],
            (true, true) => &[StreamKind::Control, StreamKind::Append],
            (false, false) => &[StreamKind::Forward],
            (false, true) => &[],
        }
    }
}

/// The links to all peers, one for each stream, shared by all callers.
pub(crate) struct Peers {
    transport: Arc<dyn Transport>,
    pub(crate) membership_view: Arc<MembershipView>,
    gossip: Arc<PeerGossip>,
    /// Which links are open, and why peers rejected others.
    pub(crate) link_tracker: Arc<LinkTracker>,
    links: Mutex<Links>,
    pub(super) metrics: RaftMetrics,
    pub(super) log: LogBudget,
}

/// The links and the addresses of the members. Links to others are closed when the members are set.
#[derive(Default)]
struct Links {
    addresses: BTreeMap<NodeId, String>,
    roles: MemberRoles,
    open: HashMap<(NodeId, StreamKind), Arc<PeerLink>>,
}

impl Peers {
    pub(crate) fn new(
        transport: Arc<dyn Transport>,
        membership_view: Arc<MembershipView>,
        gossip: Arc<PeerGossip>,
        metrics: RaftMetrics,
    ) -> Self {
        Self {
            transport,
            membership_view,
            gossip,
            link_tracker: LinkTracker::new(),
            links: Mutex::default(),
            metrics,
            log: LogBudget::new(LINE_COUNT_PER_MINUTE_MAX),
        }
    }

    /// Keeps the links open that this node needs to `members`, at their current addresses. Closes links
    /// to all other nodes, and those that are no longer needed.
    pub(crate) fn set_members(
        &self,
        own: NodeId,
        members: &BTreeMap<NodeId, String>,
        roles: MemberRoles,
    ) {
        let mut others = members.clone();
        others.remove(&own);
        let mut links = lock(&self.links);
        let before = std::mem::replace(&mut links.roles, roles.clone());
        links.open.retain(|(peer, stream_kind), link| {
            let is_current = others.get(peer) == Some(&link.address);
            // A link that was opened on demand stays.
            let was_wanted = before.wanted_streams(*peer).contains(stream_kind);
            let stays =
                is_current && (!was_wanted || roles.wanted_streams(*peer).contains(stream_kind));
            if !stays {
                let text =
                    format!("peer {peer} was removed, has another address, or is a learner now");
                link.close(LinkError::Failed(text));
            }
            stays
        });
        links.addresses.clone_from(&others);
        drop(links);
        for (peer, address) in &others {
            for stream_kind in roles.wanted_streams(*peer) {
                self.link(*peer, address, *stream_kind);
            }
        }
        // Earlier rejections of peers that are not dialed again no longer count.
        let is_dialed = |peer| !roles.wanted_streams(peer).is_empty();
        self.link_tracker
            .retain(|peer| others.contains_key(&peer) && is_dialed(peer));
        self.membership_view
            .terms
            .retain(|peer| others.contains_key(&peer));
        self.gossip.retain(|peer| others.contains_key(&peer));
    }

    /// The shared link to `peer`, kept open from now on. A member is dialed at its known address, other
    /// nodes at `address`. If the address has changed, the link is opened again.
    pub(crate) fn link(
        &self,
        peer: NodeId,
        address: &str,
        stream_kind: StreamKind,
    ) -> Arc<PeerLink> {
        let mut links = lock(&self.links);
        let address = links.address(peer, address);
        let known = links.open.get(&(peer, stream_kind));
        if let Some(link) = known.filter(|link| link.address == address) {
            return link.clone();
        }
        let link = self.open(peer, address, stream_kind);
        links.open.insert((peer, stream_kind), link.clone());
        link
    }

    /// A link to `peer` for one caller, which closes when the caller drops it.
    pub(crate) fn new_link(
        &self,
        peer: NodeId,
        address: &str,
        stream_kind: StreamKind,
    ) -> Arc<PeerLink> {
        let address = lock(&self.links).address(peer, address);
        self.open(peer, address, stream_kind)
    }

    fn open(&self, peer: NodeId, address: String, stream_kind: StreamKind) -> Arc<PeerLink> {
        Arc::new(PeerLink::open(LinkConfig {
            transport: self.transport.clone(),
            membership_view: self.membership_view.clone(),
            gossip: self.gossip.clone(),
            link_tracker: self.link_tracker.clone(),
            peer,
            address,
            stream_kind,
        }))
    }

    /// Sends `request` to `leader` on the stream for proposals and read indexes.
    pub(crate) async fn forward(
        &self,
        leader: NodeId,
        address: &str,
        request: Request,
    ) -> Result<Response, CallError> {
        let link = self.link(leader, address, StreamKind::Forward);
        link.call(request).await
    }
}

impl Links {
    /// The address of `peer`: `fallback` if it is not a member.
    fn address(&self, peer: NodeId, fallback: &str) -> String {
        self.addresses
            .get(&peer)
            .map_or(fallback, String::as_str)
            .to_owned()
    }
}
