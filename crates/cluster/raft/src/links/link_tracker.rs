//! Which peers this node has links with, and why peers rejected links.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use quorate_peer::{DataLoss, LinkError, NodeId, Removal, lock};
use tokio::{
    sync::{broadcast, watch},
    time::Instant,
};

/// How many hang-ups a receiver may lag behind: more peers than a cluster has.
const HANGUP_COUNT_MAX: usize = 256;

/// Which node opened a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Direction {
    Dialed,
    Accepted,
}

/// The links that this node has with its peers.
///
/// When a process ends, its host closes all of its connections almost at the same time. So if the other
/// end closes the last link in a direction, the peer is probably gone. A single link may end for other
/// reasons.
pub(crate) struct LinkTracker {
    /// The peer and the direction of each link: few enough for a linear search.
    links: Mutex<Vec<(NodeId, Direction)>>,
    /// When a link to each peer was last lost, since the start.
    lost: Mutex<BTreeMap<NodeId, Instant>>,
    /// Peers whose host has closed the last link in a direction: most likely the process there has
    /// ended. Links that time out are not reported.
    pub(crate) hangups: broadcast::Sender<NodeId>,
    /// Which peers rejected this node when it last dialed them, and why.
    pub(crate) dial_rejections: watch::Sender<BTreeMap<NodeId, DialRejection>>,
}

/// Why a peer rejects this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DialRejection {
    /// The peer states that this node was removed.
    Removed(Arc<Removal>),
    /// The peer knows that this node had more in its log than it states.
    DataLost(DataLoss),
}

/// An open link. It counts until this is dropped.
pub(crate) struct LinkGuard {
    link_tracker: Arc<LinkTracker>,
    link: (NodeId, Direction),
    was_closed: bool,
}

impl LinkTracker {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            links: Mutex::default(),
            lost: Mutex::default(),
            hangups: broadcast::Sender::new(HANGUP_COUNT_MAX),
            dial_rejections: watch::Sender::default(),
        })
    }

    /// Counts a link with `peer` until the returned guard is dropped.
    pub(crate) fn enter(self: &Arc<Self>, peer: NodeId, direction: Direction) -> LinkGuard {
        lock(&self.links).push((peer, direction));
        LinkGuard {
            link_tracker: self.clone(),
            link: (peer, direction),
            was_closed: false,
        }
    }

    /// Records that `peer` accepts links of this node.
    pub(crate) fn on_opened(&self, peer: NodeId) {
        self.dial_rejections
            .send_if_modified(|rejections| rejections.remove(&peer).is_some());
    }

    /// Records why `peer` could not be dialed.
    pub(crate) fn on_failed(&self, peer: NodeId, error: &LinkError) {
        let rejection = match error {
            LinkError::Removed(_, removal) => DialRejection::Removed(removal.clone()),
            LinkError::DataLost(_, loss) => DialRejection::DataLost(*loss),
            LinkError::NotAdmitted(_) | LinkError::Closed(_) | LinkError::Failed(_) => return,
        };
        self.dial_rejections.send_if_modified(|rejections| {
            let before = rejections.insert(peer, rejection.clone());
            before != Some(rejection)
        });
    }

    /// The peers to which this node has opened a link that is still open.
    #[cfg(test)]
    pub(crate) fn dialed(&self) -> std::collections::BTreeSet<NodeId> {
        let links = lock(&self.links);
        let dialed = links.iter().filter(|link| link.1 == Direction::Dialed);
        dialed.map(|(peer, _)| *peer).collect()
    }

    /// When a link that this node had opened to `peer` was last lost.
    pub(crate) fn lost_at(&self, peer: NodeId) -> Option<Instant> {
        lock(&self.lost).get(&peer).copied()
    }

    /// Forgets all peers but those that `keep` selects.
    pub(crate) fn retain(&self, keep: impl Fn(NodeId) -> bool) {
        lock(&self.lost).retain(|peer, _| keep(*peer));
        self.dial_rejections.send_if_modified(|rejections| {
            let before = rejections.len();
            rejections.retain(|peer, _| keep(*peer));
            rejections.len() != before
        });
    }
}

impl LinkGuard {
    pub(crate) fn leave(mut self, error: &LinkError) {
        self.was_closed = matches!(error, LinkError::Closed(_));
    }
}

impl Drop for LinkGuard {
    fn drop(&mut self) {
        let (peer, direction) = self.link;
        if direction == Direction::Dialed {
            lock(&self.link_tracker.lost).insert(peer, Instant::now());
        }
        let mut links = lock(&self.link_tracker.links);
        if let Some(position) = links.iter().position(|link| *link == self.link) {
            links.swap_remove(position);
        }
        let is_last = !links.contains(&self.link);
        drop(links);
        if is_last && self.was_closed {
            tracing::debug!(%peer, ?direction, "the host of a peer has closed its links");
            // There may be no receiver.
            let _ = self.link_tracker.hangups.send(peer);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::broadcast::error::TryRecvError;

    use super::*;

    #[test]
    fn the_last_link_that_the_other_end_closes_is_a_hangup() {
        let link_tracker = LinkTracker::new();
        let mut hangups = link_tracker.hangups.subscribe();
        let (peer, other) = (NodeId::from(1), NodeId::from(2));
        let closed = LinkError::Closed(String::new());
        let failed = LinkError::Failed(String::new());
        for direction in [Direction::Dialed, Direction::Accepted] {
            let [first, second] = [peer, peer].map(|peer| link_tracker.enter(peer, direction));
            let _elsewhere = link_tracker.enter(other, direction);
            first.leave(&closed);
            assert_eq!(hangups.try_recv(), Err(TryRecvError::Empty), "one is left");
            second.leave(&closed);
            assert_eq!(hangups.try_recv(), Ok(peer));
        }
        link_tracker.enter(peer, Direction::Dialed).leave(&failed);
        drop(link_tracker.enter(peer, Direction::Accepted));
        assert_eq!(hangups.try_recv(), Err(TryRecvError::Empty));
    }
}
