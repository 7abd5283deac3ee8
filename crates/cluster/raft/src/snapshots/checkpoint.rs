//! Decides when a checkpoint is due and how much of the log is kept, and writes the checkpoint at
//! the start and the end of a node.

use std::{sync::Arc, time::Duration};

use quorate_log::Log;
use quorate_peer::NodeId;
use quorate_state::{LogIndex, UnixMillis, millis};
use quorate_store::IoSpeed;
use tokio::time::{Instant, sleep};

use crate::{
    LogSettings, OpenError, RaftConfig,
    adapters::{Raft, RaftView, StateMachine},
    node_context::NodeContext,
};

/// How often to check whether a checkpoint is due. The log grows by about ten megabytes in that
/// time at most, little compared with the size that makes one due.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// A node also writes a checkpoint out of turn when the time or the log size is this many times
/// what makes one due. Until then it waits for its turn, so that the nodes do not write their
/// checkpoints at the same time.
const OVERDUE_FACTOR: u32 = 2;

/// The log may grow to this many times `log.kept_size_max` for a snapshot that is being sent. With
/// the default setting that is five minutes of 1,600 PUTs a second of the largest packets, and a
/// disk that suits a node has space for it.
const LOG_GROWTH_FACTOR: u64 = 2;

/// Triggers checkpoints when the log has grown or time has passed, and purges the log when it is
/// larger than necessary. Never returns.
///
/// A checkpoint for which there is no space is due again later, as if it had been written.
pub(crate) async fn keep_log_short(context: Arc<NodeContext>) {
    let NodeContext {
        raft, log, config, ..
    } = &*context;
    let mut last = Instant::now();
    let mut written_before = log.written_size();
    loop {
        let view = raft.view();
        context.gossip.set_checkpoint(view.checkpoint);
        let log_size = log.written_size().saturating_sub(written_before);
        let log_size_max = config.settings.store.checkpoint_log_size;
        let is_due = |factor: u32| {
            last.elapsed() >= config.checkpoint_interval() * factor
                || log_size >= log_size_max.saturating_mul(factor.into())
        };
        let own_turn = is_own_turn(
            &view.voters,
            config.node,
            context.gossip.time().time,
            config.checkpoint_interval(),
        );
        let is_due = is_due(1) && own_turn || is_due(OVERDUE_FACTOR);
        if is_due && view.applied > view.checkpoint {
            (last, written_before) = (Instant::now(), log.written_size());
            raft.trigger_checkpoint().await;
        }
        purge_log(raft, log, config).await;
        sleep(CHECK_INTERVAL).await;
    }
}

/// Purges the log if it is longer than necessary.
pub(crate) async fn purge_log(raft: &Raft, log: &Log, config: &RaftConfig) {
    let (size, kept) = (log.size(), &config.settings.log);
    let may_retain = size <= kept.kept_size_max.saturating_mul(LOG_GROWTH_FACTOR);
    let limit = raft.purge_limit(may_retain && !raft.space.is_low());
    if let Some(upto) = purge_index(&raft.view(), size, kept, limit) {
        raft.trigger_purge(upto).await;
    }
}

/// Whether it is this node's turn to write a checkpoint. The voters take turns by the clock, so
/// that their disks are not all busy at the same time. If clocks differ, turns may overlap.
fn is_own_turn(voters: &[NodeId], own: NodeId, now: UnixMillis, interval: Duration) -> bool {
    let count = voters.len().max(1) as u64;
    let turn = (millis(interval) / count).max(1);
    match voters.iter().position(|voter| *voter == own) {
        Some(rank) => now.0 / turn % count == rank as u64,
        None => true,
    }
}

/// The entry up to which the log should be purged. Of the entries that the checkpoint includes, at
/// most `kept_count_max` stay, and of the `size` of the log about `kept_size_max` bytes. Never
/// beyond the checkpoint, nor beyond `limit`, which snapshots in transfer set. `None` if nothing
/// should be purged.
fn purge_index(
    view: &RaftView,
    size: u64,
    kept: &LogSettings,
    limit: Option<LogIndex>,
) -> Option<LogIndex> {
    let by_count = view.checkpoint.0.saturating_sub(kept.kept_count_max);
    let entry_size = size / view.purged.lag_behind(view.last_log).max(1);
    let fitting_count = kept.kept_size_max / entry_size.max(1);
    let by_size = match size > kept.kept_size_max {
        true => view.last_log.0.saturating_sub(fitting_count),
        false => 0,
    };
    let upto = LogIndex(by_count.max(by_size)).min(view.checkpoint);
    let upto = limit.map_or(upto, |limit| upto.min(limit));
    (upto > view.purged).then_some(upto)
}

/// Makes durable what was applied since the last checkpoint, if anything was. If there is no space
/// for it, the log keeps the entries.
pub(crate) async fn checkpoint_applied(state_machine: &StateMachine) -> Result<(), OpenError> {
    let durable = state_machine.snapshot()?.meta().applied;
    let applied = state_machine.meta().applied;
    if applied != durable {
        let written = state_machine.checkpoint_if_it_fits(IoSpeed::Fast).await;
        written.map_err(OpenError::step("make durable what it has applied"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn voters_write_their_checkpoints_in_turns() {
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
