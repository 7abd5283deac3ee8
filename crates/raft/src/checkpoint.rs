//! When a checkpoint is due, and how much of the log stays behind it.

use std::{sync::Arc, time::Duration};

use quorate_log::Log;
use quorate_rpc::NodeId;
use quorate_state::{LogIndex, UnixMillis, millis};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::{
    Config,
    adapters::{Raft, View},
    exchange::Exchange,
};

/// How often to look whether a checkpoint is due. The log grows by some ten megabytes in that time
/// at most, little beside the size that makes one due.
const CHECKPOINT_LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How much later than due a checkpoint may be made so that it is not made together with those of
/// the other nodes: as much again.
const OVERDUE: u32 = 2;

/// Has checkpoints made when the log has grown or time has passed, and the log cut when it is larger
/// than it need be. Never returns.
///
/// A checkpoint for which there is no space is due again later, as if it had been made.
pub(crate) async fn keep_log_short(
    raft: Raft,
    log: Arc<Log>,
    exchange: Arc<Exchange>,
    config: Config,
) {
    let mut ticks = interval(CHECKPOINT_LOOK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = Instant::now();
    let mut written_then = log.written_size();
    loop {
        ticks.tick().await;
        let view = raft.view();
        let since_last = Since {
            time: last.elapsed(),
            log_size: log.written_size().saturating_sub(written_then),
        };
        let own_turn = is_own_turn(
            &view.voters,
            config.node,
            exchange.time().time,
            config.checkpoint_interval(),
        );
        let due = since_last.is_due(&config, 1) && own_turn || since_last.is_due(&config, OVERDUE);
        if due && view.applied > view.checkpoint {
            (last, written_then) = (Instant::now(), log.written_size());
            raft.trigger_checkpoint().await;
        }
        if let Some(upto) = excess(&raft.view(), log.size(), config.settings.log.kept_size_max) {
            raft.trigger_purge(upto).await;
        }
    }
}

/// What has happened since the last checkpoint.
struct Since {
    time: Duration,
    log_size: u64,
}

impl Since {
    fn is_due(&self, config: &Config, factor: u32) -> bool {
        let log_size_max = config.settings.store.checkpoint_log_size;
        self.time >= config.checkpoint_interval() * factor
            || self.log_size >= log_size_max.saturating_mul(factor.into())
    }
}

/// Whether it is this node's turn to make a checkpoint: the voters take turns by the clock, so that
/// their disks are not busy all at once. Clocks that differ cost only that.
fn is_own_turn(voters: &[NodeId], own: NodeId, now: UnixMillis, interval: Duration) -> bool {
    let count = voters.len().max(1) as u64;
    let turn = (millis(interval) / count).max(1);
    match voters.iter().position(|voter| *voter == own) {
        Some(rank) => now.0 / turn % count == rank as u64,
        None => true,
    }
}

/// The entry up to which the log is to be cut so that about `size_max` bytes of its `size` stay, as
/// far as the checkpoint allows.
fn excess(view: &View, size: u64, size_max: u64) -> Option<LogIndex> {
    let entry_size = size / view.purged.lag_behind(view.last_log).max(1);
    let kept_count = size_max / entry_size.max(1);
    let upto = LogIndex(view.last_log.0.saturating_sub(kept_count)).min(view.checkpoint);
    (size > size_max && upto > view.purged).then_some(upto)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn voters_make_their_checkpoints_in_turns() {
        let voters: Vec<_> = (1..=3).map(NodeId::from).collect();
        let interval = Duration::from_secs(30);
        for second in 0..120 {
            let now = UnixMillis(1_700_000_000_000 + second * 1000);
            let turns = voters
                .iter()
                .filter(|own| is_own_turn(&voters, **own, now, interval));
            assert_eq!(turns.count(), 1, "at second {second}");
        }
        for own in &voters {
            let turns = (0..30).map(|second| UnixMillis(second * 1000));
            let turns = turns.filter(|now| is_own_turn(&voters, *own, *now, interval));
            assert_eq!(turns.count(), 10, "an equal part of the interval");
        }
        assert!(is_own_turn(
            &voters[..1],
            voters[0],
            UnixMillis(5),
            interval
        ));
    }
}
