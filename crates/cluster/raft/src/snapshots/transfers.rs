//! Snapshots on their way to peers, and what is held back for them: the pages of the store that are
//! sent, and the entries that a peer goes on with when it has installed its snapshot. Were those
//! purged meanwhile, it would need the next snapshot, and under sustained writes another one for ever.
//!
//! Three bounds keep a slow peer from filling the disk: a time without progress, a time in all, and
//! the size of the log ([`Transfers::floor`] and its caller). Pages that are pinned grow the store with
//! what is written, as the log grows, so they need no bound of their own.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use quorate_peer::{NodeId, lock};
use quorate_state::LogIndex;
use quorate_store::Snapshot;
use tokio::{sync::oneshot, time::Instant};

use crate::links::offloaded::Offloaded;

/// How long a peer may make no progress: longer than one piece may take, so that one whose link was
/// lost finds its snapshot when it comes back at once.
pub(crate) const IDLE_MAX: Duration = Duration::from_secs(90);

/// How long a transfer and what follows may take in all: a gigabyte at 300 kB/s.
const HELD_DURATION_MAX: Duration = Duration::from_secs(3600);

/// How far behind its leader a peer has caught up, in entries: as many as one message brings.
const CAUGHT_UP_LAG: u64 = 1024;

/// A snapshot of which several peers may be sent.
pub(crate) type SharedSnapshot = Arc<Offloaded<Snapshot>>;

/// The transfers of this node while it leads. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Transfers(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// Of members, so it does not grow.
    holds: Mutex<BTreeMap<NodeId, Hold>>,
    /// How often the floor was asked for.
    #[cfg(test)]
    looks: tokio::sync::watch::Sender<u64>,
}

/// What is held back for one peer.
struct Hold {
    /// The last entry that the peer has, or has when it has installed its snapshot.
    floor: LogIndex,
    /// There until it is installed.
    snapshot: Option<SharedSnapshot>,
    begun: Instant,
    progressed: Instant,
    /// The transfer ends with it.
    _lease: oneshot::Sender<Infallible>,
}

impl Transfers {
    /// The snapshot that some peer is being sent, or would go on with. Others that need one get the
    /// same, so that the pages of one are pinned and not those of many.
    pub(crate) fn snapshot(&self) -> Option<SharedSnapshot> {
        let holds = lock(&self.0.holds);
        holds.values().find_map(|hold| hold.snapshot.clone())
    }

    /// Holds back what `peer` needs of a snapshot that ends at `floor`, and behind it, until that lapses.
    pub(crate) fn begin(
        &self,
        peer: NodeId,
        snapshot: SharedSnapshot,
        floor: LogIndex,
    ) -> (Transfer, Lapsed) {
        let (lease, lapsed) = oneshot::channel();
        let mut holds = lock(&self.0.holds);
        let resumed = holds.get(&peer).filter(|hold| {
            let held = hold.snapshot.as_ref();
            held.is_some_and(|held| Arc::ptr_eq(held, &snapshot))
        });
        let now = Instant::now();
        let hold = Hold {
            floor,
            begun: resumed.map_or(now, |hold| hold.begun),
            progressed: now,
            snapshot: Some(snapshot),
            _lease: lease,
        };
        holds.insert(peer, hold);
        let transfer = Transfer {
            transfers: self.clone(),
            peer,
        };
        (transfer, lapsed)
    }

    /// The entry up to which the log may be purged, if anything is held back. `matching` says what a
    /// follower has when the log ends at `last_log`. To be called again and again: it is here that
    /// what is held back too long is given up.
    pub(crate) fn floor(
        &self,
        last_log: LogIndex,
        matching: impl Fn(NodeId) -> Option<LogIndex>,
    ) -> Option<LogIndex> {
        #[cfg(test)]
        self.0.looks.send_modify(|looks| *looks += 1);
        let mut holds = lock(&self.0.holds);
        holds.retain(|peer, hold| {
            if hold.snapshot.is_none() {
                hold.follow(matching(*peer));
            }
            hold.is_needed(last_log)
        });
        holds.values().map(|hold| hold.floor).min()
    }

    /// Ends all transfers, and holds nothing back any more.
    pub(crate) fn end(&self) {
        lock(&self.0.holds).clear();
    }

    /// Ends the transfers of a snapshot that cannot be read any more.
    pub(crate) fn end_all_of(&self, snapshot: &SharedSnapshot) {
        let is_other = |held: &SharedSnapshot| !Arc::ptr_eq(held, snapshot);
        let mut holds = lock(&self.0.holds);
        holds.retain(|_, hold| hold.snapshot.as_ref().is_none_or(is_other));
    }

    /// How often the floor was asked for, from now on.
    #[cfg(test)]
    pub(crate) fn looks(&self) -> tokio::sync::watch::Receiver<u64> {
        self.0.looks.subscribe()
    }

    fn change(&self, peer: NodeId, change: impl FnOnce(&mut Hold)) {
        if let Some(hold) = lock(&self.0.holds).get_mut(&peer) {
            hold.progressed = Instant::now();
            change(hold);
        }
    }
}

impl Hold {
    /// Notes what the peer has by now.
    fn follow(&mut self, matching: Option<LogIndex>) {
        if matching > Some(self.floor) {
            self.floor = matching.unwrap_or_default();
            self.progressed = Instant::now();
        }
    }

    fn is_needed(&self, last_log: LogIndex) -> bool {
        let has_caught_up =
            self.snapshot.is_none() && self.floor.lag_behind(last_log) <= CAUGHT_UP_LAG;
        let is_late =
            self.progressed.elapsed() > IDLE_MAX || self.begun.elapsed() > HELD_DURATION_MAX;
        !has_caught_up && !is_late
    }
}

/// A snapshot that a peer is being sent. Dropped before it is complete, it is held for a while, so that
/// the peer can go on with it.
pub(crate) struct Transfer {
    transfers: Transfers,
    peer: NodeId,
}

/// Resolves, with an error, when nothing is held back for a transfer any more.
pub(crate) type Lapsed = oneshot::Receiver<Infallible>;

impl Transfer {
    /// The peer has taken another piece.
    pub(crate) fn on_progress(&self) {
        self.transfers.change(self.peer, |_| ());
    }

    /// The peer will not go on with it.
    pub(crate) fn give_up(self) {
        lock(&self.transfers.0.holds).remove(&self.peer);
    }

    /// The peer has installed it, and goes on with the entries behind it.
    pub(crate) fn complete(self) {
        self.transfers
            .change(self.peer, |hold| hold.snapshot = None);
    }
}

#[cfg(test)]
#[path = "transfers_tests.rs"]
mod tests;
