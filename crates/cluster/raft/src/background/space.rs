//! The space that is left on the disk of log and store: with little of it a node only reads.
//!
//! The floor leaves room for what must go on all the same: the next segment of the log, with the
//! entries of Raft itself in it, and a checkpoint. Votes, heartbeats and commits take no space.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use quorate_log::Log;
use quorate_peer::message::{Entry, Payload};
use quorate_state::LogIndex;
use quorate_store::Store;
use tokio::{sync::watch, time::timeout};

use crate::{RaftConfig, RaftMetrics};

/// How much more than the floor must be free before a node writes again: a part of the floor, so that
/// it does not go to and fro.
const RETURN_PART: u64 = 4;

/// How long a leader waits for the answer that its entries are refused. It tries again at once.
const REFUSAL_PAUSE: Duration = Duration::from_secs(1);

/// Whether there is space to write. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Space {
    floor: u64,
    low: watch::Sender<bool>,
    /// Not even a further segment of the log fits.
    is_used_up: Arc<AtomicBool>,
}

#[derive(Debug, thiserror::Error)]
#[error("its disk is nearly full: it takes no entries until there is space")]
pub(crate) struct DiskFull;

impl Space {
    /// There is space until it is looked for. Below `floor` bytes there is little.
    pub(crate) fn new(floor: u64) -> Self {
        Self {
            floor,
            low: watch::Sender::new(false),
            is_used_up: Arc::default(),
        }
    }

    /// Whether there is little, so that this node only reads.
    pub(crate) fn is_low(&self) -> bool {
        *self.low.borrow()
    }

    /// Whether there is little, now and later.
    pub(crate) fn watch(&self) -> watch::Receiver<bool> {
        self.low.subscribe()
    }

    /// Whether entries of a leader may be appended to a log that ends at `last_log`. Those of Raft
    /// itself, by which a leader begins its term, may while the log has room; and those that are there
    /// already, by which a new leader finds out where the logs part.
    pub(crate) fn admits(&self, entries: &[Entry], last_log: LogIndex) -> bool {
        let is_used_up = self.is_used_up.load(Ordering::Acquire);
        let is_too_much = |entry: &Entry| {
            let is_command = matches!(entry.payload, Payload::Command(_));
            entry.position.index > last_log && (is_command || is_used_up)
        };
        !self.is_low() || !entries.iter().any(is_too_much)
    }

    /// Waits until there is space, and not for long. What was refused stays so: entries that came
    /// behind must not get before it.
    pub(crate) async fn pause(&self) -> DiskFull {
        let mut low = self.watch();
        let _ = timeout(REFUSAL_PAUSE, low.wait_for(|low| !low)).await;
        DiskFull
    }

    /// Looks once.
    ///
    /// What the next checkpoint may take is not free, so that it can always be made: it is what lets
    /// the log become shorter.
    pub(crate) fn look(
        &self,
        config: &RaftConfig,
        log: &Log,
        store: &Store,
        metrics: &RaftMetrics,
    ) {
        // What cannot be told is told by the next write.
        let free = config.disk.free_space(&config.dir).ok();
        if let Some(free) = free {
            metrics
                .disk_free_bytes
                .set(free.try_into().unwrap_or(i64::MAX));
        }
        let free = free.map(|free| store.free_after_checkpoint(free));
        self.note(free, log.is_full());
        metrics.disk_full.set(i64::from(self.is_low()));
    }

    fn note(&self, free: Option<u64>, is_used_up: bool) {
        self.is_used_up.store(is_used_up, Ordering::Release);
        self.low.send_if_modified(|low| {
            let enough = match *low {
                true => self.floor + self.floor / RETURN_PART,
                false => self.floor,
            };
            let now = is_used_up || free.map_or(*low, |free| free < enough);
            if now == *low {
                return false;
            }
            match now {
                true => tracing::error!(
                    free,
                    floor = self.floor,
                    "the disk is nearly full: this node only reads until there is space"
                ),
                false => tracing::info!(free, "there is space on the disk: this node writes again"),
            }
            *low = now;
            true
        });
    }
}

#[cfg(test)]
mod tests {
    use quorate_state::LogPosition;

    use super::*;

    fn entry(payload: Payload) -> Entry {
        let position = LogPosition::new(1, 1);
        Entry { position, payload }
    }

    #[test]
    fn a_node_writes_again_when_more_than_the_floor_is_free() {
        let space = Space::new(400);
        for (free, is_low) in [
            (Some(400), false),
            (Some(399), true),
            (Some(499), true),
            (None, true),
            (Some(500), false),
            (None, false),
            (Some(450), false),
        ] {
            space.note(free, false);
            assert_eq!(space.is_low(), is_low, "{free:?}");
        }
        space.note(Some(u64::MAX), true);
        assert!(space.is_low(), "the log has no room");
    }

    #[test]
    fn the_entries_of_raft_itself_find_room() {
        let space = Space::new(400);
        let command = [
            entry(Payload::Blank),
            entry(Payload::Command(vec![1].into())),
        ];
        let own = [entry(Payload::Blank)];
        let (before, at) = (LogIndex(0), LogIndex(1));
        assert!(space.admits(&command, before));
        space.note(Some(0), false);
        assert!(!space.admits(&command, before) && space.admits(&command, at));
        assert!(space.admits(&own, before) && space.admits(&[], before));
        space.note(Some(0), true);
        assert!(!space.admits(&own, before) && space.admits(&own, at));
        assert!(space.admits(&[], before));
    }
}
