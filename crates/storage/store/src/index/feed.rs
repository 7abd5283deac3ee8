//! The changes of packets, for clients that watch a key and for clients that poll.

use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::StreamExt;
use quorate_packet::PublicKey;
use quorate_replica::{ChangedPacket, Changes, ChangesLost, LogIndex, Watch};

use super::{
    ring::{CHANGE_COUNT_MAX, ChangeRing},
    watches::Watches,
};

/// The changes of the packets of a node. The caller that changes the [`Index`](super::Index)
/// publishes them here afterwards, so that a client that receives a change can read it.
#[derive(Debug)]
pub struct ChangeFeed {
    ring: Mutex<ChangeRing>,
    watches: Watches,
}

impl ChangeFeed {
    /// A feed of the changes after the entry `applied`.
    pub fn new(applied: LogIndex) -> Self {
        Self {
            ring: Mutex::new(ChangeRing::new(applied, CHANGE_COUNT_MAX)),
            watches: Watches::default(),
        }
    }

    /// Publishes the changes of the entries up to `applied`. There may be none.
    pub fn publish(&self, changes: &[ChangedPacket], applied: LogIndex) {
        self.ring().extend(changes, applied);
        self.watches
            .on_changed(changes.iter().map(|change| &change.key));
    }

    /// Publishes that all packets were replaced by those as of the entry `applied`.
    pub fn reset(&self, applied: LogIndex) {
        self.ring().reset(applied);
        self.watches.on_all_changed();
    }

    /// Ends all watches, also later ones.
    pub fn close(&self) {
        self.watches.close();
    }

    /// As [`Replica::watch`](quorate_replica::Replica::watch).
    pub fn watch(&self, key: &PublicKey) -> Watch {
        self.watches.watch(key).boxed()
    }

    /// As [`Replica::changes_since`](quorate_replica::Replica::changes_since).
    pub fn changes_since(&self, since: LogIndex, count_max: usize) -> Result<Changes, ChangesLost> {
        self.ring().since(since, count_max)
    }

    fn ring(&self) -> MutexGuard<'_, ChangeRing> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
