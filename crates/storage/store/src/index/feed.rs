//! What has changed, for those who wait for it and those who ask now and then.

use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::StreamExt;
use quorate_packet::PublicKey;
use quorate_replica::{ChangedPacket, Changes, ChangesLost, LogIndex, Watch};

use super::{
    ring::{CHANGE_COUNT_MAX, ChangeRing},
    watches::Watches,
};

/// What has changed in the packets of a node. Fed by whoever changes the [`Index`](super::Index),
/// always after it: who is told of a change can read it.
#[derive(Debug)]
pub struct ChangeFeed {
    ring: Mutex<ChangeRing>,
    watches: Watches,
}

impl ChangeFeed {
    /// Tells what changes behind the entry `applied`.
    pub fn new(applied: LogIndex) -> Self {
        Self {
            ring: Mutex::new(ChangeRing::new(applied, CHANGE_COUNT_MAX)),
            watches: Watches::default(),
        }
    }

    /// Tells of the changes by entries up to `applied`, which need not have changed anything.
    pub fn publish(&self, changes: &[ChangedPacket], applied: LogIndex) {
        self.ring().extend(changes, applied);
        self.watches
            .on_changed(changes.iter().map(|change| &change.key));
    }

    /// Tells that other packets have taken the place of all, as they stand at the entry `applied`.
    pub fn begin_anew(&self, applied: LogIndex) {
        self.ring().begin_anew(applied);
        self.watches.on_all_changed();
    }

    /// Ends all watches, and those to come.
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
