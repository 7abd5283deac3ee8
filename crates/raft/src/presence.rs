//! Which peers this node has links with, and what they said when those were opened.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use quorate_rpc::{LinkError, LogState, NodeId};
use tokio::sync::{broadcast, watch};

/// How many hang-ups a receiver may lag behind: more peers than a cluster has.
const HANGUP_COUNT_MAX: usize = 64;

/// Which node opened a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Direction {
    Dialed,
    Accepted,
}

/// The links that this node has with its peers.
///
/// When a process ends, its host closes all of its connections within a moment. So the last link in
/// a direction that the other end closes is a sign that the peer is gone. One link by itself may
/// end for less.
pub(crate) struct Presence {
    /// Members only, so it does not grow.
    links: Mutex<HashMap<(NodeId, Direction), usize>>,
    hangups: broadcast::Sender<NodeId>,
    logs: watch::Sender<BTreeMap<NodeId, LogState>>,
}

/// A link that is open.
pub(crate) struct Present {
    presence: Arc<Presence>,
    peer: NodeId,
    direction: Direction,
    was_closed: bool,
}

impl Presence {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            links: Mutex::default(),
            hangups: broadcast::Sender::new(HANGUP_COUNT_MAX),
            logs: watch::Sender::default(),
        })
    }

    /// Counts a link with `peer` until what it returns is dropped.
    pub(crate) fn enter(self: &Arc<Self>, peer: NodeId, direction: Direction) -> Present {
        self.count(peer, direction, |count| count + 1);
        Present {
            presence: self.clone(),
            peer,
            direction,
            was_closed: false,
        }
    }

    /// Notes what `peer` said of its log.
    pub(crate) fn on_greeted(&self, peer: NodeId, log: LogState) {
        self.logs
            .send_if_modified(|logs| logs.insert(peer, log) != Some(log));
    }

    /// What each peer that was reached since the start last said of its log.
    pub(crate) fn logs(&self) -> watch::Receiver<BTreeMap<NodeId, LogState>> {
        self.logs.subscribe()
    }

    /// Peers whose host has closed the last link in a direction, from now on.
    pub(crate) fn hangups(&self) -> broadcast::Receiver<NodeId> {
        self.hangups.subscribe()
    }

    fn count(&self, peer: NodeId, direction: Direction, next: impl Fn(usize) -> usize) -> usize {
        // Counting does not panic halfway.
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        let count = links.entry((peer, direction)).or_default();
        *count = next(*count);
        *count
    }
}

impl Present {
    /// The link was lost.
    pub(crate) fn leave(mut self, error: &LinkError) {
        self.was_closed = matches!(error, LinkError::Closed(_));
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        let (peer, direction) = (self.peer, self.direction);
        let left = self.presence.count(peer, direction, |count| count - 1);
        if left == 0 && self.was_closed {
            tracing::debug!(%peer, ?direction, "the host of a peer has closed its links");
            // Nobody need be interested.
            let _ = self.presence.hangups.send(peer);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::broadcast::error::TryRecvError;

    use super::*;

    #[test]
    fn the_last_link_that_the_other_end_closes_is_a_hangup() {
        let presence = Presence::new();
        let mut hangups = presence.hangups();
        let (peer, other) = (NodeId::from(1), NodeId::from(2));
        let closed = LinkError::Closed(String::new());
        let failed = LinkError::Failed(String::new());
        for direction in [Direction::Dialed, Direction::Accepted] {
            let [first, second] = [peer, peer].map(|peer| presence.enter(peer, direction));
            let _elsewhere = presence.enter(other, direction);
            first.leave(&closed);
            assert_eq!(hangups.try_recv(), Err(TryRecvError::Empty), "one is left");
            second.leave(&closed);
            assert_eq!(hangups.try_recv(), Ok(peer));
        }
        presence.enter(peer, Direction::Dialed).leave(&failed);
        drop(presence.enter(peer, Direction::Accepted));
        assert_eq!(hangups.try_recv(), Err(TryRecvError::Empty));
    }
}
