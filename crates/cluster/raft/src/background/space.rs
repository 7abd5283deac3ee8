//! The free space on the disk of log and store. When it is low, a node only reads.
//!
//! `free_min` leaves space for what must continue anyway: the next segment of the log, with the
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

/// Space counts as low until `free_min` plus `free_min` divided by this is free, so that the node
/// does not switch back and forth.
const RESUME_MARGIN_DIVISOR: u64 = 4;

/// How long the rejection of a leader's entries is delayed. The leader retries immediately after
/// it.
const REJECTION_DELAY: Duration = Duration::from_secs(1);

/// Whether there is space to write. Clones share their state.
#[derive(Debug, Clone)]
pub(crate) struct DiskSpace {
    free_min: u64,
    low: watch::Sender<bool>,
    /// Whether not even another segment of the log fits.
    is_log_full: Arc<AtomicBool>,
}

#[derive(Debug, thiserror::Error)]
#[error("its disk is nearly full: it rejects entries until there is space")]
pub(crate) struct DiskFull;

impl DiskSpace {
    /// Assumes that there is space until the first check. Less than `free_min` bytes is low.
    pub(crate) fn new(free_min: u64) -> Self {
        Self {
            free_min,
            low: watch::Sender::new(false),
            is_log_full: Arc::default(),
        }
    }

    /// Whether space is low, so that this node only reads.
    pub(crate) fn is_low(&self) -> bool {
        *self.low.borrow()
    }

    /// Whether space is low, now and later.
    pub(crate) fn watch(&self) -> watch::Receiver<bool> {
        self.low.subscribe()
    }

    /// Whether entries of a leader may be appended to a log that ends at `last_log`. The entries of
    /// Raft itself, with which a leader starts its term, are accepted while the log has space. So
    /// are entries that the log already has, with which a new leader finds where the logs differ.
    pub(crate) fn accepts(&self, entries: &[Entry], last_log: LogIndex) -> bool {
        let is_log_full = self.is_log_full.load(Ordering::Acquire);
        let needs_space = |entry: &Entry| {
            let is_command = matches!(entry.payload, Payload::Command(_));
            entry.position.index > last_log && (is_command || is_log_full)
        };
        !self.is_low() || !entries.iter().any(needs_space)
    }

    /// Waits until there is space, for a limited time, and returns the error. The entries are
    /// rejected in any case: later entries must not be appended before them.
    pub(crate) async fn wait_before_rejection(&self) -> DiskFull {
        let mut low = self.watch();
        let _ = timeout(REJECTION_DELAY, low.wait_for(|low| !low)).await;
        DiskFull
    }

    /// Checks the free space once.
    ///
    /// The space that the next checkpoint may take does not count as free, so that a checkpoint is
    /// always possible: only a checkpoint lets the log become shorter.
    pub(crate) fn check(
        &self,
        config: &RaftConfig,
        log: &Log,
        store: &Store,
        metrics: &RaftMetrics,
    ) {
        // If the free space is unknown, the next write reports the problem.
        let free = config.disk.free_space(&config.dir).ok();
        if let Some(free) = free {
            metrics
                .disk_free_bytes
                .set(free.try_into().unwrap_or(i64::MAX));
        }
        let free = free.map(|free| store.free_after_checkpoint(free));
        self.update(free, log.is_full());
        metrics.disk_full.set(i64::from(self.is_low()));
    }

    fn update(&self, free: Option<u64>, is_log_full: bool) {
        self.is_log_full.store(is_log_full, Ordering::Release);
        self.low.send_if_modified(|low| {
            let enough = match *low {
                true => self.free_min + self.free_min / RESUME_MARGIN_DIVISOR,
                false => self.free_min,
            };
            let now = is_log_full || free.map_or(*low, |free| free < enough);
            if now == *low {
                return false;
            }
            match now {
                true => tracing::error!(
                    free,
                    floor = self.free_min,
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
    fn a_node_writes_again_when_more_than_the_minimum_is_free() {
        let space = DiskSpace::new(400);
        for (free, is_low) in [
            (Some(400), false),
            (Some(399), true),
            (Some(499), true),
            (None, true),
            (Some(500), false),
            (None, false),
            (Some(450), false),
        ] {
            space.update(free, false);
            assert_eq!(space.is_low(), is_low, "{free:?}");
        }
        space.update(Some(u64::MAX), true);
        assert!(space.is_low(), "the log has no space");
    }

    #[test]
    fn entries_of_raft_itself_are_accepted_while_the_log_has_space() {
        let space = DiskSpace::new(400);
        let command = [
            entry(Payload::Blank),
            entry(Payload::Command(vec![1].into())),
        ];
        let own = [entry(Payload::Blank)];
        let (before, at) = (LogIndex(0), LogIndex(1));
        assert!(space.accepts(&command, before));
        space.update(Some(0), false);
        assert!(!space.accepts(&command, before) && space.accepts(&command, at));
        assert!(space.accepts(&own, before) && space.accepts(&[], before));
        space.update(Some(0), true);
        assert!(!space.accepts(&own, before) && space.accepts(&own, at));
        assert!(space.accepts(&[], before));
    }
}
