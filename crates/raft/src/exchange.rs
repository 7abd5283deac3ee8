//! What nodes tell each other of themselves in the tails of messages that they send anyway.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use quorate_rpc::{NodeId, Tail, Unfit};
use quorate_state::millis;
use tokio::{sync::watch, time::Instant};

use crate::clock::now;

/// What this node tells of itself, and what it has heard of the others.
pub(crate) struct Exchange {
    /// The moment from which its monotonic stamps count, a millisecond before it was made: no stamp
    /// is zero, which stands for none.
    epoch: Instant,
    level: u16,
    unfit: watch::Sender<Unfit>,
    /// Members only, so it does not grow.
    heard: Mutex<HashMap<NodeId, Heard>>,
}

/// What a node has heard of a peer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heard {
    /// The last tail of it.
    pub(crate) tail: Tail,
    /// When that came.
    pub(crate) at: Instant,
}

impl Exchange {
    /// Of a node that knows commands up to `level`.
    pub(crate) fn new(level: u16) -> Self {
        Self {
            epoch: Instant::now(),
            level,
            unfit: watch::Sender::default(),
            heard: Mutex::default(),
        }
    }

    /// What a message to `peer` says of this node, now.
    pub(crate) fn tail(&self, peer: NodeId) -> Tail {
        let echo_ms = self.heard(peer).map_or(0, |heard| heard.tail.monotonic_ms);
        Tail {
            clock_ms: now().0,
            monotonic_ms: self.stamp(Instant::now()),
            echo_ms,
            // Filled in with the clock of the cluster.
            quorum_ack_age_ms: 0,
            level: self.level,
            unfit: *self.unfit.borrow(),
        }
    }

    /// Notes the tail of a request of `peer`.
    pub(crate) fn on_request(&self, peer: NodeId, tail: Tail) {
        self.note(peer, tail);
    }

    /// Notes the tail of the response to a request that was sent to `peer` at `sent`.
    pub(crate) fn on_response(&self, peer: NodeId, _sent: Instant, tail: Tail) {
        self.note(peer, tail);
    }

    /// What was last heard of `peer`.
    pub(crate) fn heard(&self, peer: NodeId) -> Option<Heard> {
        self.all_heard().get(&peer).copied()
    }

    /// Says whether these reasons not to lead hold.
    pub(crate) fn set_unfit(&self, reasons: Unfit, given: bool) {
        self.unfit.send_if_modified(|unfit| {
            let now = unfit.with(reasons, given);
            std::mem::replace(unfit, now) != now
        });
    }

    /// Why this node should not lead, now and later.
    pub(crate) fn unfit(&self) -> watch::Receiver<Unfit> {
        self.unfit.subscribe()
    }

    fn note(&self, peer: NodeId, tail: Tail) {
        let at = Instant::now();
        self.all_heard().insert(peer, Heard { tail, at });
    }

    fn stamp(&self, at: Instant) -> u64 {
        millis(at.saturating_duration_since(self.epoch)) + 1
    }

    fn all_heard(&self) -> MutexGuard<'_, HashMap<NodeId, Heard>> {
        // Looking up and inserting do not panic halfway.
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
