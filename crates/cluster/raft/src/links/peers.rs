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

/// How many lines of the log the peers cause in a minute by what is not believed of them.
const LINE_COUNT_PER_MINUTE_MAX: u32 = 10;

/// Who votes and who does not, as far as this node knows: what it has to say to whom follows from that.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct MemberRoles {
    /// Whether this node votes, and so may lead.
    pub(crate) votes: bool,
    /// The other members that do not. Of whom nothing is known may lead.
    pub(crate) learners: BTreeSet<NodeId>,
}

impl MemberRoles {
    /// The streams that are kept open to `peer`, so that neither an election nor a PUT waits for a
    /// handshake. Who votes asks for votes and sends entries, and whoever takes PUTs forwards them to
    /// one that may lead. Learners have nothing to say to each other.
    fn wanted_streams(&self, peer: NodeId) -> &'static [StreamKind] {
        match (self.votes, self.learners.contains(&peer)) {
            (true, false) => &[StreamKind::Control, StreamKind::Append, StreamKind::Forward],
            (true, true) => &[StreamKind::Control, StreamKind::Append],
            (false, false) => &[StreamKind::Forward],
            (false, true) => &[],
        }
    }
}

/// The links to all peers, one for each stream, shared by all who call.
pub(crate) struct Peers {
    transport: Arc<dyn Transport>,
    pub(crate) membership_view: Arc<MembershipView>,
    gossip: Arc<PeerGossip>,
    /// Which links there are, and what peers said when those were opened.
    pub(crate) link_tracker: Arc<LinkTracker>,
    links: Mutex<Links>,
    pub(super) metrics: RaftMetrics,
    pub(super) log: LogBudget,
}

/// Links of members and to where they lead. Others go when the members are set next.
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

    /// Keeps the links that this node needs open to `members`, where they are now, and ends those to
    /// everybody else, and those that it needs no more.
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
            let is_there = others.get(peer) == Some(&link.address);
            // What was opened when it was asked for stays.
            let was_warm = before.wanted_streams(*peer).contains(stream_kind);
            let stays =
                is_there && (!was_warm || roles.wanted_streams(*peer).contains(stream_kind));
            if !stays {
                let text = format!("peer {peer} is no member any more, elsewhere, or only learns");
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
        // What others have said once counts no more when they are not asked again.
        let is_dialed = |peer| !roles.wanted_streams(peer).is_empty();
        self.link_tracker
            .retain(|peer| others.contains_key(&peer) && is_dialed(peer));
        self.membership_view
            .terms
            .retain(|peer| others.contains_key(&peer));
        self.gossip.retain(|peer| others.contains_key(&peer));
    }

    /// The link to `peer` that all share, kept open from now on. Of a member the address counts that
    /// is known of it, and `address` of others. When it is another one than before, the link is
    /// opened anew.
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

    /// A link to `peer` for one user, who drops it.
    pub(crate) fn own_link(
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

    /// Asks `leader` on the stream of proposals and read indexes.
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
    /// Where `peer` is: `told` if it is no member.
    fn address(&self, peer: NodeId, told: &str) -> String {
        self.addresses
            .get(&peer)
            .map_or(told, String::as_str)
            .to_owned()
    }
}
