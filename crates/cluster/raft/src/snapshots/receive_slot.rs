//! The slot in which this node receives a snapshot. It keeps the received part when a link is lost.

use std::{sync::Arc, time::Duration};

use quorate_peer::NodeId;
use quorate_state::LogPosition;
use quorate_store::SnapshotReceiver;
use tokio::{
    sync::{Mutex, OwnedMutexGuard, watch},
    time::{Instant, sleep, timeout},
};

use crate::{
    error::BoxError, links::drop_in_background::DropInBackground, snapshots::transfers::IDLE_MAX,
};

/// How often to check for a partial snapshot that no peer continues.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// How long to wait for the end of another reception: the time to remove a file.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// The one place where a snapshot is received. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct ReceiveSlot {
    partial: Arc<Mutex<Option<PartialSnapshot>>>,
    /// The peer that waits for the slot.
    waiting_peer: watch::Sender<Option<NodeId>>,
}

/// The slot, locked. When it is dropped, a partial snapshot in it stays for the same peer, for a
/// while.
pub(crate) type SlotGuard = OwnedMutexGuard<Option<PartialSnapshot>>;

/// A part of a snapshot.
pub(crate) struct PartialSnapshot {
    pub(crate) peer: NodeId,
    /// The last entry that the snapshot reflects.
    pub(crate) last_log: Option<LogPosition>,
    pub(crate) receiver: DropInBackground<SnapshotReceiver>,
    /// How many chunks were received.
    pub(crate) chunk_count: u64,
    /// When the last chunk was received.
    pub(crate) last_chunk_at: Instant,
}

impl PartialSnapshot {
    pub(crate) fn new(
        peer: NodeId,
        last_log: Option<LogPosition>,
        receiver: SnapshotReceiver,
    ) -> Self {
        Self {
            peer,
            last_log,
            receiver: DropInBackground::new(receiver),
            chunk_count: 0,
            last_chunk_at: Instant::now(),
        }
    }

    /// Whether it is a part of this snapshot of this peer, and its sender still keeps the snapshot.
    pub(crate) fn belongs_to(&self, peer: NodeId, last_log: Option<LogPosition>) -> bool {
        let is_fresh = self.last_chunk_at.elapsed() < IDLE_MAX;
        (self.peer, self.last_log) == (peer, last_log) && is_fresh
    }
}

impl ReceiveSlot {
    /// Locks the slot for `peer`, with the partial snapshot in it. Fails if another snapshot is
    /// being received.
    pub(crate) async fn acquire(&self, peer: NodeId) -> Result<SlotGuard, BoxError> {
        self.waiting_peer.send_replace(Some(peer));
        let guard = timeout(ACQUIRE_TIMEOUT, self.partial.clone().lock_owned()).await;
        let guard = guard.map_err(|_| "another snapshot is being received")?;
        self.waiting_peer.send_replace(None);
        Ok(guard)
    }

    /// Resolves when `peer`, which has the slot, needs it for another link because its first link
    /// is lost.
    pub(crate) async fn wanted_for_other_link(&self, peer: NodeId) {
        let mut waiting_peer = self.waiting_peer.subscribe();
        // Cannot fail: `self` has the sender.
        let _ = waiting_peer
            .wait_for(|waiting_peer| *waiting_peer == Some(peer))
            .await;
    }

    /// Periodically drops a partial snapshot that no peer continues. Never returns.
    pub(crate) async fn drop_idle(self) {
        loop {
            sleep(CHECK_INTERVAL).await;
            // One that is being received is not idle.
            if let Ok(mut guard) = self.partial.clone().try_lock_owned() {
                let is_idle =
                    |partial: &mut PartialSnapshot| partial.last_chunk_at.elapsed() >= IDLE_MAX;
                if let Some(partial) = guard.take_if(is_idle) {
                    tracing::info!(peer = %partial.peer, "dropped a partial snapshot that its peer did not continue");
                    // The slot is free when the file is gone.
                    let _ = tokio::task::spawn_blocking(move || {
                        drop(partial.receiver.into_inner());
                        drop(guard);
                    })
                    .await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use quorate_sim::SimDisk;
    use quorate_store::Store;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_snapshot_that_no_peer_continues_leaves_no_file() {
        let disk = SimDisk::new();
        let config = quorate_store::StoreConfig {
            disk: Arc::new(disk.clone()),
            path: PathBuf::from("/packets.redb"),
            cache_size: 1024 * 1024,
        };
        let (peer, receive_slot) = (NodeId::from(1), ReceiveSlot::default());
        let last_log = Some(LogPosition::new(1, 7));
        let mut guard = receive_slot.acquire(peer).await.unwrap();
        let receiver = Store::receiver(&config).unwrap();
        *guard = Some(PartialSnapshot::new(peer, last_log, receiver));
        assert!(!disk.files().is_empty());
        drop(guard);
        let checks = tokio::spawn(receive_slot.clone().drop_idle());

        tokio::time::sleep(IDLE_MAX / 2).await;
        let guard = receive_slot.acquire(peer).await.unwrap();
        let kept = guard.as_ref().expect("the part is kept for a while");
        assert!(kept.belongs_to(peer, last_log));
        assert!(!kept.belongs_to(NodeId::from(2), last_log));
        assert!(!kept.belongs_to(peer, Some(LogPosition::new(1, 8))));
        drop(guard);

        while receive_slot.acquire(peer).await.unwrap().is_some() {
            tokio::time::sleep(CHECK_INTERVAL).await;
        }
        assert!(disk.files().is_empty(), "{:?}", disk.files());
        checks.abort();
    }
}
