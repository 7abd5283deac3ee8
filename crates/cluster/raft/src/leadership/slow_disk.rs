//! Whether the disk of the log is slow: it works, but not as a leader's must.
//!
//! Each PUT waits for the disk of the leader unless a majority of the others is faster, and those
//! that a leader with a slow disk takes itself always do.

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

/// How often the disk is judged.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How many looks back count.
const WINDOW_LOOKS: usize = 10;

/// In how many of them there must have been a slow sync: a disk that stalls once is not slow.
const SLOW_LOOKS_MIN: usize = 3;

/// One slow sync in so many is too much: then the slowest percent is.
const SYNCS_PER_SLOW_ONE: u64 = 100;

/// After how many looks without a slow sync a slow disk counts as fast again. Three windows, so that
/// leadership does not go to and fro with a disk that is slow now and then.
const CALM_LOOKS: u32 = 30;

/// Counts the syncs of a log, and those that were slow.
#[derive(Debug)]
pub(crate) struct SyncMeter {
    epoch: Instant,
    slow_ms: u64,
    /// When the sync that is under way has begun, in milliseconds since `epoch` and at least 1. 0
    /// when none is.
    begun_ms: AtomicU64,
    count: AtomicU64,
    slow_count: AtomicU64,
}

/// What a meter has counted in some time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Syncs {
    count: u64,
    slow_count: u64,
}

impl SyncMeter {
    /// To which a sync is slow that takes `slow_ms` or longer.
    pub(crate) fn new(slow_ms: u64) -> Arc<Self> {
        Arc::new(Self {
            epoch: Instant::now(),
            slow_ms,
            begun_ms: AtomicU64::new(0),
            count: AtomicU64::new(0),
            slow_count: AtomicU64::new(0),
        })
    }

    /// What was counted since the last look. A sync that hangs counts at each.
    fn take(&self) -> Syncs {
        let begun_ms = self.begun_ms.load(Ordering::Relaxed);
        let hangs = u64::from(begun_ms > 0 && self.is_slow(begun_ms));
        Syncs {
            count: self.count.swap(0, Ordering::Relaxed) + hangs,
            slow_count: self.slow_count.swap(0, Ordering::Relaxed) + hangs,
        }
    }

    fn is_slow(&self, begun_ms: u64) -> bool {
        self.now_ms().saturating_sub(begun_ms) >= self.slow_ms
    }

    fn now_ms(&self) -> u64 {
        millis(self.epoch.elapsed()) + 1
    }
}

impl SyncObserver for SyncMeter {
    fn begun(&self) {
        self.begun_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    fn ended(&self) {
        let begun_ms = self.begun_ms.swap(0, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
        if self.is_slow(begun_ms) {
            self.slow_count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Says in the gossip whether this node's disk is slow. Never returns.
pub(crate) async fn watch_disk(meter: Arc<SyncMeter>, gossip: Arc<PeerGossip>) {
    let mut judgement = Judgement::default();
    loop {
        sleep(LOOK_INTERVAL).await;
        let was_slow = judgement.is_slow;
        let is_slow = judgement.after(meter.take());
        match (was_slow, is_slow) {
            (false, true) => {
                let slow = Duration::from_millis(meter.slow_ms);
                tracing::warn!(?slow, "the disk is slow: this node should not lead");
            }
            (true, false) => tracing::info!("the disk is fast again: this node may lead"),
            _ => continue,
        }
        gossip.set_unfit(NotElectable::DISK_SLOW, is_slow);
    }
}

/// Whether a disk is slow, judged look by look.
#[derive(Default)]
struct Judgement {
    window: VecDeque<Syncs>,
    calm_looks: u32,
    is_slow: bool,
}

impl Judgement {
    /// The judgement after a look that found `syncs`.
    fn after(&mut self, syncs: Syncs) -> bool {
        self.window.push_back(syncs);
        if self.window.len() > WINDOW_LOOKS {
            self.window.pop_front();
        }
        self.calm_looks = match syncs.slow_count {
            0 => self.calm_looks + 1,
            _ => 0,
        };
        if self.is_slow {
            self.is_slow = self.calm_looks < CALM_LOOKS;
        } else {
            self.is_slow = self.has_slow_window();
        }
        self.is_slow
    }

    fn has_slow_window(&self) -> bool {
        let window = self.window.iter();
        let slow_looks = window.clone().filter(|syncs| syncs.slow_count > 0).count();
        let count: u64 = window.clone().map(|syncs| syncs.count).sum();
        let slow_count: u64 = window.map(|syncs| syncs.slow_count).sum();
        slow_looks >= SLOW_LOOKS_MIN && slow_count.saturating_mul(SYNCS_PER_SLOW_ONE) > count
    }
}

#[cfg(test)]
#[path = "slow_disk_tests.rs"]
mod tests;
