//! The snapshot that this node receives, and what it keeps of it when the link is lost halfway.

use std::{sync::Arc, time::Duration};

use quorate_peer::NodeId;
use quorate_state::LogPosition;
use quorate_store::SnapshotReceiver;
use tokio::{
    sync::{Mutex, OwnedMutexGuard, watch},
    time::{Instant, sleep, timeout},
};

use crate::{error::BoxError, links::offloaded::Offloaded, snapshots::transfers::IDLE_MAX};

/// How often to look for a part that nobody has come back for.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);

/// How long the end of another reception is waited for: as a file takes to be removed.
const SLOT_TIMEOUT: Duration = Duration::from_secs(5);

/// The one place where a snapshot is received. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Incoming {
    slot: Arc<Mutex<Option<Partial>>>,
    /// The peer that wants the place.
    claim: watch::Sender<Option<NodeId>>,
}

/// The place, taken. Given back, it keeps what is in it for the same peer, for a while.
pub(crate) type Slot = OwnedMutexGuard<Option<Partial>>;

/// A part of a snapshot.
pub(crate) struct Partial {
    pub(crate) peer: NodeId,
    /// The last entry that the snapshot reflects.
    pub(crate) last_log: Option<LogPosition>,
    pub(crate) receiver: Offloaded<SnapshotReceiver>,
    /// How many chunks are in it.
    pub(crate) chunk_count: u64,
    /// When the last one came.
    pub(crate) changed: Instant,
}

impl Partial {
    pub(crate) fn new(
        peer: NodeId,
        last_log: Option<LogPosition>,
        receiver: SnapshotReceiver,
    ) -> Self {
        Self {
            peer,
            last_log,
            receiver: Offloaded::new(receiver),
            chunk_count: 0,
            changed: Instant::now(),
        }
    }

    /// Whether it is a part of this snapshot of this peer, and not older than its sender keeps it.
    pub(crate) fn is_of(&self, peer: NodeId, last_log: Option<LogPosition>) -> bool {
        let is_fresh = self.changed.elapsed() < IDLE_MAX;
        (self.peer, self.last_log) == (peer, last_log) && is_fresh
    }
}

impl Incoming {
    /// Takes the place for `peer`, with what is left in it.
    pub(crate) async fn slot(&self, peer: NodeId) -> Result<Slot, BoxError> {
        self.claim.send_replace(Some(peer));
        let slot = timeout(SLOT_TIMEOUT, self.slot.clone().lock_owned()).await;
        let slot = slot.map_err(|_| "another snapshot is being received")?;
        self.claim.send_replace(None);
        Ok(slot)
    }

    /// Resolves when `peer`, which has the place, wants it for another link: it has lost the one that it
    /// has it for.
    pub(crate) async fn claimed(&self, peer: NodeId) {
        let mut claim = self.claim.subscribe();
        // The sender is here.
        let _ = claim.wait_for(|claim| *claim == Some(peer)).await;
    }

    /// Gives up again and again what no peer has come back for. Never returns.
    pub(crate) async fn give_up_idle(self) {
        loop {
            sleep(LOOK_INTERVAL).await;
            // One that is being received is not idle.
            if let Ok(mut slot) = self.slot.clone().try_lock_owned() {
                let is_idle = |partial: &mut Partial| partial.changed.elapsed() >= IDLE_MAX;
                if let Some(partial) = slot.take_if(is_idle) {
                    tracing::info!(peer = %partial.peer, "gave up a snapshot that was cut off");
                    // The place is free when the file is gone.
                    let _ = tokio::task::spawn_blocking(move || {
                        drop(partial.receiver.into_inner());
                        drop(slot);
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
    async fn what_no_peer_comes_back_for_leaves_no_file() {
        let disk = SimDisk::new();
        let config = quorate_store::StoreConfig {
            disk: Arc::new(disk.clone()),
            path: PathBuf::from("/packets.redb"),
            cache_size: 1024 * 1024,
        };
        let (peer, incoming) = (NodeId::from(1), Incoming::default());
        let last_log = Some(LogPosition::new(1, 7));
        let mut slot = incoming.slot(peer).await.unwrap();
        let receiver = Store::receiver(&config).unwrap();
        *slot = Some(Partial::new(peer, last_log, receiver));
        assert!(!disk.files().is_empty());
        drop(slot);
        let looks = tokio::spawn(incoming.clone().give_up_idle());

        tokio::time::sleep(IDLE_MAX / 2).await;
        let slot = incoming.slot(peer).await.unwrap();
        let kept = slot.as_ref().expect("it is kept for a while");
        assert!(kept.is_of(peer, last_log));
        assert!(!kept.is_of(NodeId::from(2), last_log));
        assert!(!kept.is_of(peer, Some(LogPosition::new(1, 8))));
        drop(slot);

        while incoming.slot(peer).await.unwrap().is_some() {
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        assert!(disk.files().is_empty(), "{:?}", disk.files());
        looks.abort();
    }
}
