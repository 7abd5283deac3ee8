//! Snapshots that are being sent to peers, and what is kept for them: the pages of the store that
//! are sent, and the log entries that a peer needs next when it has installed its snapshot. If
//! those were purged meanwhile, the peer would need another snapshot, and under sustained writes
//! yet another, for ever.
//!
//! Three limits keep a slow peer from filling the disk: a time without progress, a total time, and
//! the size of the log ([`SnapshotTransfers::purge_limit`] and its caller). Pinned pages make the
//! store grow by what is written, just as the log grows, so they need no limit of their own.

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

use crate::links::drop_in_background::DropInBackground;

/// How long a peer may make no progress: longer than one piece may take, so that a peer whose link
/// was lost finds its snapshot when it reconnects immediately.
pub(crate) const IDLE_MAX: Duration = Duration::from_secs(90);

/// The longest time for a transfer and the entries after it: a gigabyte at 300 kB/s.
const TRANSFER_DURATION_MAX: Duration = Duration::from_secs(3600);

/// A peer that lacks at most this many entries has caught up: the entries of one message.
const CAUGHT_UP_LAG: u64 = 1024;

/// A snapshot that may be sent to several peers at the same time.
pub(crate) type SharedSnapshot = Arc<DropInBackground<Snapshot>>;

/// The transfers of this node while it leads. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct SnapshotTransfers(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// Has members only, so it does not grow.
    by_peer: Mutex<BTreeMap<NodeId, TransferState>>,
    /// How often the purge limit was computed.
    #[cfg(test)]
    purge_checks: tokio::sync::watch::Sender<u64>,
}

/// What is kept for one peer.
struct TransferState {
    /// The last entry that the peer has, or will have when it has installed its snapshot.
    match_index: LogIndex,
    /// Set until it is installed.
    snapshot: Option<SharedSnapshot>,
    started_at: Instant,
    progressed_at: Instant,
    /// Dropping it ends the transfer.
    _end_sender: oneshot::Sender<Infallible>,
}

impl SnapshotTransfers {
    /// The snapshot that is being sent to a peer, or that a peer may continue. Other peers that
    /// need one get the same, so that only the pages of one snapshot are pinned.
    pub(crate) fn snapshot(&self) -> Option<SharedSnapshot> {
        let by_peer = lock(&self.0.by_peer);
        by_peer
            .values()
            .find_map(|transfer| transfer.snapshot.clone())
    }

    /// Keeps what `peer` needs: `snapshot`, and the log entries after its last entry `match_index`.
    /// The returned receiver resolves when it is no longer kept.
    pub(crate) fn begin(
        &self,
        peer: NodeId,
        snapshot: SharedSnapshot,
        match_index: LogIndex,
    ) -> (SnapshotTransfer, TransferEnd) {
        let (end_sender, ended) = oneshot::channel();
        let mut by_peer = lock(&self.0.by_peer);
        let resumed = by_peer.get(&peer).filter(|transfer| {
            let kept = transfer.snapshot.as_ref();
            kept.is_some_and(|kept| Arc::ptr_eq(kept, &snapshot))
        });
        let now = Instant::now();
        let transfer = TransferState {
            match_index,
            started_at: resumed.map_or(now, |transfer| transfer.started_at),
            progressed_at: now,
            snapshot: Some(snapshot),
            _end_sender: end_sender,
        };
        by_peer.insert(peer, transfer);
        let handle = SnapshotTransfer {
            transfers: self.clone(),
            peer,
        };
        (handle, ended)
    }

    /// The entry up to which the log may be purged, if anything is kept. `match_index` returns the
    /// last entry that a follower has, when the log ends at `last_log`. Must be called
    /// periodically: this call drops what was kept too long.
    pub(crate) fn purge_limit(
        &self,
        last_log: LogIndex,
        match_index: impl Fn(NodeId) -> Option<LogIndex>,
    ) -> Option<LogIndex> {
        #[cfg(test)]
        self.0
            .purge_checks
            .send_modify(|purge_checks| *purge_checks += 1);
        let mut by_peer = lock(&self.0.by_peer);
        by_peer.retain(|peer, transfer| {
            if transfer.snapshot.is_none() {
                transfer.update_match_index(match_index(*peer));
            }
            transfer.is_needed(last_log)
        });
        by_peer.values().map(|transfer| transfer.match_index).min()
    }

    /// Ends all transfers and keeps nothing any more.
    pub(crate) fn end(&self) {
        lock(&self.0.by_peer).clear();
    }

    /// Ends the transfers of a snapshot that cannot be read any more.
    pub(crate) fn end_all_of(&self, snapshot: &SharedSnapshot) {
        let is_other = |kept: &SharedSnapshot| !Arc::ptr_eq(kept, snapshot);
        let mut by_peer = lock(&self.0.by_peer);
        by_peer.retain(|_, transfer| transfer.snapshot.as_ref().is_none_or(is_other));
    }

    /// Counts how often the purge limit is computed.
    #[cfg(test)]
    pub(crate) fn purge_checks(&self) -> tokio::sync::watch::Receiver<u64> {
        self.0.purge_checks.subscribe()
    }

    fn change(&self, peer: NodeId, change: impl FnOnce(&mut TransferState)) {
        if let Some(transfer) = lock(&self.0.by_peer).get_mut(&peer) {
            transfer.progressed_at = Instant::now();
            change(transfer);
        }
    }
}

impl TransferState {
    /// Records the last entry that the peer has now.
    fn update_match_index(&mut self, match_index: Option<LogIndex>) {
        if match_index > Some(self.match_index) {
            self.match_index = match_index.unwrap_or_default();
            self.progressed_at = Instant::now();
        }
    }

    fn is_needed(&self, last_log: LogIndex) -> bool {
        let has_caught_up =
            self.snapshot.is_none() && self.match_index.lag_behind(last_log) <= CAUGHT_UP_LAG;
        let is_late = self.progressed_at.elapsed() > IDLE_MAX
            || self.started_at.elapsed() > TRANSFER_DURATION_MAX;
        !has_caught_up && !is_late
    }
}

/// A snapshot that is being sent to a peer. If it is dropped before it is complete, the snapshot is
/// kept for a while, so that the peer can continue it.
pub(crate) struct SnapshotTransfer {
    transfers: SnapshotTransfers,
    peer: NodeId,
}

/// Resolves, with an error, when nothing is kept for a transfer any more.
pub(crate) type TransferEnd = oneshot::Receiver<Infallible>;

impl SnapshotTransfer {
    /// The peer has received another piece.
    pub(crate) fn on_progress(&self) {
        self.transfers.change(self.peer, |_| ());
    }

    /// The peer will not continue it.
    pub(crate) fn abandon(self) {
        lock(&self.transfers.0.by_peer).remove(&self.peer);
    }

    /// The peer has installed it, and continues with the entries after it.
    pub(crate) fn complete(self) {
        self.transfers
            .change(self.peer, |transfer| transfer.snapshot = None);
    }
}

#[cfg(test)]
#[path = "transfers_tests.rs"]
mod tests;
