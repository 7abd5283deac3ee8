//! What a node does unasked: checkpoints, and the expiry of old packets while it leads.

use std::{sync::Arc, time::Duration};

use openraft::async_runtime::WatchReceiver;
use quorate_log::Log;
use quorate_state::{Command, EXPIRE_COUNT_MAX, Outcome, UnixMillis};
use quorate_store::Store;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::{
    Config, Metrics,
    node::Raft,
    proposer::{Proposal, Proposer, now},
};

/// How often to look whether a checkpoint is due. The log grows by some ten megabytes in that time
/// at most, little beside the size that makes one due.
const CHECKPOINT_LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The longest time between looks for old packets.
const EXPIRE_INTERVAL_MAX: Duration = Duration::from_secs(60);

/// The shortest one.
const EXPIRE_INTERVAL_MIN: Duration = Duration::from_secs(1);

/// Has checkpoints made when the log has grown or time has passed, and the log cut when it is larger
/// than it need be. Never returns.
pub(crate) async fn keep_log_short(raft: Raft, log: Arc<Log>, config: Config) {
    let mut ticks = interval(CHECKPOINT_LOOK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let metrics = raft.metrics();
    let mut last = Instant::now();
    let mut written_then = log.written_size();
    loop {
        ticks.tick().await;
        let (applied, held) = {
            let metrics = metrics.borrow_watched();
            (
                metrics.last_applied.map(|id| id.index()),
                metrics.snapshot.map(|id| id.index()),
            )
        };
        let written = log.written_size();
        let due = last.elapsed() >= config.checkpoint_interval
            || written.saturating_sub(written_then) >= config.checkpoint_log_size;
        if due && applied > held {
            (last, written_then) = (Instant::now(), written);
            // An error means that Raft has stopped, which the node reports.
            let _ = raft.trigger().snapshot().await;
        }
        if let Some(upto) = excess(&raft, log.size(), config.log_kept_size_max) {
            let _ = raft.trigger().purge_log(upto).await;
        }
    }
}

/// The entry up to which the log is to be cut so that about `size_max` bytes of its `size` stay, as
/// far as the checkpoint allows.
fn excess(raft: &Raft, size: u64, size_max: u64) -> Option<u64> {
    let metrics = raft.metrics();
    let metrics = metrics.borrow_watched();
    let purged = metrics.purged.map_or(0, |id| id.index());
    let held = metrics.snapshot?.index();
    let last = metrics.last_log_index?;
    let entry_size = size / last.saturating_sub(purged).max(1);
    let kept_count = size_max / entry_size.max(1);
    let upto = last.saturating_sub(kept_count).min(held);
    (size > size_max && upto > purged).then_some(upto)
}

/// Removes old packets while this node leads. Never returns.
pub(crate) async fn expire_packets(
    proposer: Arc<Proposer>,
    store: Arc<Store>,
    config: Config,
    metrics: Metrics,
) {
    let mut clock = Clock::start();
    let pause = (config.retention / 10).clamp(EXPIRE_INTERVAL_MIN, EXPIRE_INTERVAL_MAX);
    let mut ticks = interval(pause);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if clock.has_jumped() {
            tracing::error!(
                pause = ?config.retention,
                "the clock of this machine has jumped ahead: this node expires nothing for now"
            );
            clock.distrust(config.retention);
        }
        if !clock.is_trusted() {
            continue;
        }
        let cutoff = now().saturating_sub(config.retention);
        // An unreadable store stops the node through Raft, which reads it too.
        while matches!(store.oldest_received(), Ok(Some(oldest)) if oldest < cutoff) {
            let command = Command::Expire {
                cutoff,
                count_max: EXPIRE_COUNT_MAX,
            };
            match proposer.propose_command(command).await {
                Proposal::Applied {
                    outcome: Outcome::Expired(count),
                    ..
                } if count > 0 => {
                    metrics.expired_total.inc_by(count as u64);
                    tracing::info!(
                        count,
                        "removed packets that were not received again in time"
                    );
                }
                _ => break,
            }
        }
    }
}

/// How far the wall clock may run ahead of the monotonic one between two looks. Slewing corrects
/// less; more is a step, and a step of the retention would remove every packet.
const CLOCK_STEP_MAX: Duration = Duration::from_secs(60);

/// Tells when the wall clock has been set forward.
struct Clock {
    wall: UnixMillis,
    monotonic: Instant,
    trusted_from: Instant,
}

impl Clock {
    fn start() -> Self {
        let monotonic = Instant::now();
        Self {
            wall: now(),
            monotonic,
            trusted_from: monotonic,
        }
    }

    /// Whether the wall clock was set forward since the last look.
    fn has_jumped(&mut self) -> bool {
        self.look(now(), Instant::now())
    }

    fn look(&mut self, wall: UnixMillis, monotonic: Instant) -> bool {
        let step = wall
            .since(self.wall)
            .saturating_sub(monotonic - self.monotonic);
        (self.wall, self.monotonic) = (wall, monotonic);
        step > CLOCK_STEP_MAX
    }

    /// Trusts it again once every packet that was received before the jump would be old by any
    /// clock.
    fn distrust(&mut self, retention: Duration) {
        self.trusted_from = self.monotonic + retention;
    }

    fn is_trusted(&self) -> bool {
        self.monotonic >= self.trusted_from
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    #[test]
    fn a_clock_that_jumps_a_day_is_not_trusted_for_the_retention() {
        let mut clock = Clock::start();
        let (wall, monotonic) = (clock.wall, clock.monotonic);
        let minute = Duration::from_secs(60);
        assert!(!clock.look(wall.saturating_add(minute), monotonic + minute));
        assert!(clock.is_trusted());

        assert!(clock.look(wall.saturating_add(DAY), monotonic + 2 * minute));
        clock.distrust(7 * DAY);
        for (days, trusted) in [(1, false), (6, false), (7, true)] {
            let wall = wall.saturating_add((1 + days) * DAY);
            assert!(!clock.look(wall, monotonic + 2 * minute + days * DAY));
            assert_eq!(clock.is_trusted(), trusted, "after {days} days");
        }
    }

    #[test]
    fn a_clock_that_goes_back_removes_nothing_early() {
        let mut clock = Clock::start();
        let (wall, monotonic) = (clock.wall, clock.monotonic);
        assert!(!clock.look(wall.saturating_sub(DAY), monotonic + Duration::from_secs(1)));
        assert!(
            clock.look(wall, monotonic + Duration::from_secs(2)),
            "and forward again"
        );
    }
}
