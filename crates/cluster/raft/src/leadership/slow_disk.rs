//! Detects a log disk that works, but is too slow for a leader.
//!
//! Each PUT waits for the disk of the leader unless a majority of the others is faster. PUTs that
//! arrive at a leader with a slow disk always wait for it.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use quorate_log::SyncObserver;
use quorate_peer::NotElectable;
use quorate_state::millis;
use tokio::time::{Instant, sleep};

use crate::clocks::gossip::PeerGossip;

/// How often the disk is checked.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// How many of the last checks count.
const WINDOW_CHECK_COUNT: usize = 10;

/// At least this many of them must have seen a slow sync: a disk that stalls once is not slow.
const SLOW_CHECK_COUNT_MIN: usize = 3;

/// More than one slow sync in this many is too much: the slowest percent.
const SYNCS_PER_SLOW_SYNC: u64 = 100;

/// A slow disk counts as fast again after this many checks without a slow sync: three windows, so
/// that leadership does not switch back and forth because of a disk that is slow now and then.
const CALM_CHECK_COUNT: u32 = 30;

/// Counts the syncs of a log, and the slow ones among them.
#[derive(Debug)]
pub(crate) struct SyncMeter {
    epoch: Instant,
    slow_ms: u64,
    /// When the sync in progress started, in milliseconds since `epoch` and at least 1. 0 when none
    /// is in progress.
    started_ms: AtomicU64,
    count: AtomicU64,
    slow_count: AtomicU64,
}

/// The counts of a meter since its last check.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct SyncCounts {
    count: u64,
    slow_count: u64,
}

impl SyncMeter {
    /// A meter that counts a sync as slow if it takes `slow_ms` or longer.
    pub(crate) fn new(slow_ms: u64) -> Arc<Self> {
        Arc::new(Self {
            epoch: Instant::now(),
            slow_ms,
            started_ms: AtomicU64::new(0),
            count: AtomicU64::new(0),
            slow_count: AtomicU64::new(0),
        })
    }

    /// Takes the counts since the last check. A sync that hangs counts at each check.
    fn take(&self) -> SyncCounts {
        let started_ms = self.started_ms.load(Ordering::Relaxed);
        let hangs = u64::from(started_ms > 0 && self.is_slow(started_ms));
        SyncCounts {
            count: self.count.swap(0, Ordering::Relaxed) + hangs,
            slow_count: self.slow_count.swap(0, Ordering::Relaxed) + hangs,
        }
    }

    fn is_slow(&self, started_ms: u64) -> bool {
        self.now_ms().saturating_sub(started_ms) >= self.slow_ms
    }

    fn now_ms(&self) -> u64 {
        millis(self.epoch.elapsed()) + 1
    }
}

impl SyncObserver for SyncMeter {
    fn write_started(&self) {
        self.started_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    fn write_finished(&self) {
        let started_ms = self.started_ms.swap(0, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
        if self.is_slow(started_ms) {
            self.slow_count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Reports in the gossip whether this node's disk is slow. Never returns.
pub(crate) async fn watch_disk(meter: Arc<SyncMeter>, gossip: Arc<PeerGossip>) {
    let mut detector = SlowDiskDetector::default();
    loop {
        sleep(CHECK_INTERVAL).await;
        let was_slow = detector.is_slow;
        let is_slow = detector.update(meter.take());
        match (was_slow, is_slow) {
            (false, true) => {
                let slow = Duration::from_millis(meter.slow_ms);
                tracing::warn!(?slow, "the disk is slow: this node should not lead");
            }
            (true, false) => tracing::info!("the disk is fast again: this node may lead"),
            _ => continue,
        }
        gossip.set_not_electable(NotElectable::DISK_SLOW, is_slow);
    }
}

/// Decides whether a disk is slow, from the counts of each check.
#[derive(Default)]
struct SlowDiskDetector {
    window: VecDeque<SyncCounts>,
    calm_checks: u32,
    is_slow: bool,
}

impl SlowDiskDetector {
    /// Adds the counts of a check. Returns whether the disk is slow now.
    fn update(&mut self, counts: SyncCounts) -> bool {
        self.window.push_back(counts);
        if self.window.len() > WINDOW_CHECK_COUNT {
            self.window.pop_front();
        }
        self.calm_checks = match counts.slow_count {
            0 => self.calm_checks + 1,
            _ => 0,
        };
        if self.is_slow {
            self.is_slow = self.calm_checks < CALM_CHECK_COUNT;
        } else {
            self.is_slow = self.has_slow_window();
        }
        self.is_slow
    }

    fn has_slow_window(&self) -> bool {
        let window = self.window.iter();
        let slow_checks = window
            .clone()
            .filter(|counts| counts.slow_count > 0)
            .count();
        let count: u64 = window.clone().map(|counts| counts.count).sum();
        let slow_count: u64 = window.map(|counts| counts.slow_count).sum();
        slow_checks >= SLOW_CHECK_COUNT_MIN
            && slow_count.saturating_mul(SYNCS_PER_SLOW_SYNC) > count
    }
}

#[cfg(test)]
#[path = "slow_disk_tests.rs"]
mod tests;
