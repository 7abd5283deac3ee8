//! When a checkpoint is due, and how much of the log stays behind it.

use std::{sync::Arc, time::Duration};

use quorate_log::Log;
use quorate_state::LogIndex;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::{
    Config,
    adapters::{Raft, View},
};

/// How often to look whether a checkpoint is due. The log grows by some ten megabytes in that time
/// at most, little beside the size that makes one due.
const CHECKPOINT_LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Has checkpoints made when the log has grown or time has passed, and the log cut when it is larger
/// than it need be. Never returns.
pub(crate) async fn keep_log_short(raft: Raft, log: Arc<Log>, config: Config) {
    let mut ticks = interval(CHECKPOINT_LOOK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = Instant::now();
    let mut written_then = log.written_size();
    loop {
        ticks.tick().await;
        let view = raft.view();
        let written = log.written_size();
        let due = last.elapsed() >= config.checkpoint_interval()
            || written.saturating_sub(written_then) >= config.settings.store.checkpoint_log_size;
        if due && view.applied > view.checkpoint {
            (last, written_then) = (Instant::now(), written);
            raft.trigger_checkpoint().await;
        }
        if let Some(upto) = excess(&raft.view(), log.size(), config.settings.log.kept_size_max) {
            raft.trigger_purge(upto).await;
        }
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
