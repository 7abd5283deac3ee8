//! How long PUTs take in each stage on their way to the answer.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use quorate_peer::lock;
use quorate_replica::{PutError, PutOutcome};

use crate::{
    RaftMetrics,
    adapters::EntryTimes,
    metrics::PutStage::{self, Answer, Append, Apply, Forward, Queue, Quorum},
};

/// At most one slow PUT is logged in this time: when one is slow, thousands may be.
const LOG_INTERVAL: Duration = Duration::from_secs(1);

/// How long a batch was in each stage, as far as this node knows. At the leader one follows the other:
/// append, quorum and apply; at another node: forward and apply.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct BatchStages {
    forward: Option<Duration>,
    append: Option<Duration>,
    /// The sync of the entry at this node, while it is sent to the others.
    sync: Option<Duration>,
    quorum: Option<Duration>,
    apply: Option<Duration>,
    /// When it was applied here.
    applied: Option<Instant>,
}

/// The times of one PUT.
#[derive(Debug)]
pub(super) struct PutTimes {
    received: Instant,
    /// Until it went into its last batch.
    queue: Option<Duration>,
    /// The stages of that batch.
    pub(super) batch: BatchStages,
}

impl PutTimes {
    /// A PUT that comes now.
    pub(super) fn start() -> Self {
        Self {
            received: Instant::now(),
            queue: None,
            batch: BatchStages::default(),
        }
    }

    /// The PUT goes into a batch now.
    pub(super) fn leave_queue(&mut self, now: Instant, metrics: &RaftMetrics) {
        let queue = now.saturating_duration_since(self.received);
        observe(metrics, Queue, Some(queue));
        self.queue = Some(queue);
    }
}

/// One attempt of a batch to get into the log.
#[derive(Debug, Clone, Copy)]
pub(super) struct AttemptTimes {
    pub(super) started: Instant,
    /// When the leader has answered, if it is another node.
    pub(super) forwarded: Option<Instant>,
}

impl AttemptTimes {
    pub(super) fn start() -> Self {
        Self {
            started: Instant::now(),
            forwarded: None,
        }
    }

    /// The stages of a batch that is applied, and counts them.
    pub(super) fn stages(&self, entry: Option<EntryTimes>, metrics: &RaftMetrics) -> BatchStages {
        let Some(entry) = entry else {
            return BatchStages::default();
        };
        let since = |from: Instant| move |to: Instant| to.saturating_duration_since(from);
        let before_apply = self.forwarded.or(entry.committed);
        let is_own = self.forwarded.is_none();
        let stages = BatchStages {
            forward: self.forwarded.map(since(self.started)),
            append: is_own.then(|| since(self.started)(entry.appended)),
            sync: entry.synced.map(since(entry.appended)),
            quorum: entry
                .committed
                .filter(|_| is_own)
                .map(since(entry.appended)),
            apply: before_apply.and_then(|from| entry.applied.map(since(from))),
            applied: entry.applied,
        };
        observe(metrics, Forward, stages.forward);
        observe(metrics, Append, stages.append);
        observe(metrics, Quorum, stages.quorum);
        observe(metrics, Apply, stages.apply);
        stages
    }
}

fn observe(metrics: &RaftMetrics, stage: PutStage, took: Option<Duration>) {
    if let Some(took) = took {
        let seconds = metrics.put_stage_duration_seconds.of(stage);
        seconds.observe(took.as_secs_f64());
    }
}

/// Logs PUTs that took long, with their stages.
pub(super) struct SlowPuts {
    /// From which time on a PUT is logged. Zero: never.
    slow: Duration,
    metrics: RaftMetrics,
    last: Mutex<LastLogged>,
}

#[derive(Default)]
struct LastLogged {
    at: Option<Instant>,
    unlogged_count: u64,
}

impl SlowPuts {
    pub(super) fn new(slow: Duration, metrics: RaftMetrics) -> Self {
        Self {
            slow,
            metrics,
            last: Mutex::default(),
        }
    }

    /// The caller of a PUT has its outcome now.
    pub(super) fn answered(&self, times: &PutTimes, outcome: &Result<PutOutcome, PutError>) {
        let (now, stages) = (Instant::now(), &times.batch);
        let answer = stages.applied.map(|at| now.saturating_duration_since(at));
        observe(&self.metrics, Answer, answer);
        let total = now.saturating_duration_since(times.received);
        if self.slow.is_zero() || total < self.slow {
            return;
        }
        let Some(unlogged_count) = self.next_line(now) else {
            return;
        };
        tracing::warn!(
            ?total,
            queue = times.queue.map(tracing::field::debug),
            forward = stages.forward.map(tracing::field::debug),
            append = stages.append.map(tracing::field::debug),
            sync = stages.sync.map(tracing::field::debug),
            quorum = stages.quorum.map(tracing::field::debug),
            apply = stages.apply.map(tracing::field::debug),
            answer = answer.map(tracing::field::debug),
            ?outcome,
            others = unlogged_count,
            "a PUT took long (put.slow_ms): `others` were slow too since the last such line"
        );
    }

    /// How many slow PUTs were not logged since the last line. `None` if it is too early for another.
    fn next_line(&self, now: Instant) -> Option<u64> {
        let mut last = lock(&self.last);
        if last
            .at
            .is_some_and(|at| now.saturating_duration_since(at) < LOG_INTERVAL)
        {
            last.unlogged_count += 1;
            return None;
        }
        last.at = Some(now);
        Some(std::mem::take(&mut last.unlogged_count))
    }
}

#[cfg(test)]
#[path = "stages_tests.rs"]
mod tests;
