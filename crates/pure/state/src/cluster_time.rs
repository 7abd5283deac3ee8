//! The time of the cluster as its log tells it, and forward steps of it that can be undone.

use std::time::Duration;

use crate::{UnixMillis, coding::fields, millis};

/// How far the time of a command must be from that of the one before to be a step.
///
/// A leader that knows the time has it in the log every [`TICK_INTERVAL`], so more than this passes
/// between two commands only if a majority's clocks were set, or if the cluster was down. A smaller
/// step heals by itself: it is over before anything is undone.
pub const STEP_MIN: Duration = Duration::from_secs(15 * 60);

/// How old the last time in the log may become.
pub const TICK_INTERVAL: Duration = Duration::from_secs(5 * 60);

/// The most steps that are remembered. The oldest gives way: it can be undone no more, and counts as
/// time in which packets grow older.
pub const STEP_COUNT_MAX: usize = 16;

const _: () = assert!(TICK_INTERVAL.as_secs() * 2 < STEP_MIN.as_secs());

/// The time of the cluster as its log tells it.
///
/// Each command that stores packets, or tells the time only, has the time on which a majority agreed
/// when it was proposed. That may go back. *Stamps*, which is what packets are stored with, never do. So
/// they are in order when time is set back, too: what is undone of steps is taken off where a stamp is
/// read, by [`shown`](Self::shown).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterTime {
    /// The time that was told last; small steps back are not heeded.
    told: UnixMillis,
    /// The last stamp.
    stamp: UnixMillis,
    /// Forward steps, the oldest first.
    steps: Vec<Step>,
    /// What was undone of steps that are forgotten, in milliseconds.
    forgotten_ms: u64,
    /// The stamp at which the time that is told stepped back, while a forward step can be undone.
    behind_since: Option<UnixMillis>,
}

/// A forward step of the stamps. There is none between the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Step {
    before: UnixMillis,
    after: UnixMillis,
    /// How much of it was undone: all of it at the most.
    undone_ms: u64,
}

fields! {
    ClusterTime { told, stamp, steps, forgotten_ms, behind_since }
    Step { before, after, undone_ms }
}

impl Step {
    fn size_ms(&self) -> u64 {
        millis(self.after.since(self.before))
    }

    fn left_ms(&self) -> u64 {
        self.size_ms().saturating_sub(self.undone_ms)
    }
}

impl ClusterTime {
    /// The time that the log told last, if it has told any.
    pub fn told(&self) -> Option<UnixMillis> {
        (self.told > UnixMillis(0)).then_some(self.told)
    }

    /// The stamp for what happens at `now`. `None` if that is a step, of which the log must tell before.
    pub fn stamp_at(&self, now: UnixMillis) -> Option<UnixMillis> {
        let told = self.told()?;
        let is_step = now.since(told).max(told.since(now)) > STEP_MIN;
        // Behind a step that can be undone time goes on, so that it is known how much has passed. Behind
        // anything else stamps wait until it is that late.
        let from = match self.behind_since {
            Some(_) => told,
            None => self.shown(self.stamp),
        };
        (!is_step).then(|| self.stamp.saturating_add(now.since(from)))
    }

    /// What time a stamp stands for.
    pub fn shown(&self, stamp: UnixMillis) -> UnixMillis {
        let passed = self.steps.iter().filter(|step| step.after <= stamp);
        let undone_ms: u64 = passed.map(|step| step.undone_ms).sum();
        UnixMillis(stamp.0.saturating_sub(self.forgotten_ms + undone_ms))
    }

    /// The stamp of what is old by `age` at the stamp `now`. Steps make nothing older: whoever lived
    /// through one had no time to publish in it.
    pub fn cutoff(&self, now: UnixMillis, age: Duration) -> UnixMillis {
        let mut cutoff = now.saturating_sub(age);
        for step in self.steps.iter().rev() {
            if cutoff <= step.after {
                cutoff.0 = cutoff.0.saturating_sub(step.size_ms());
            }
        }
        cutoff
    }

    /// For how long a majority has agreed on an earlier time than before a step that can be undone, if
    /// it does at `now`.
    pub fn behind_for(&self, now: UnixMillis) -> Option<Duration> {
        Some(self.stamp_at(now)?.since(self.behind_since?))
    }

    /// Whether time is to be set back if a majority goes on agreeing on it.
    pub fn is_behind(&self) -> bool {
        self.behind_since.is_some()
    }

    /// By how much time was set back, all in all: by so much the last stamp is ahead of what it stands
    /// for.
    pub fn set_back_by(&self) -> Duration {
        self.stamp.since(self.shown(self.stamp))
    }

    /// By how much what the last stamp stands for is ahead of the time that was told last.
    pub fn ahead(&self) -> Duration {
        self.shown(self.stamp).since(self.told)
    }

    /// The last forward step: how far it reaches, and from which stamp on.
    pub fn last_step(&self) -> Option<(UnixMillis, Duration)> {
        let step = self.steps.last()?;
        Some((step.after, Duration::from_millis(step.size_ms())))
    }

    /// Takes note of the time that a command tells, and returns its stamp.
    pub(crate) fn advance(&mut self, now: UnixMillis) -> UnixMillis {
        match self.stamp_at(now) {
            Some(stamp) => {
                self.stamp = stamp;
                self.told = self.told.max(now);
            }
            None => self.step(now),
        }
        self.stamp
    }

    fn step(&mut self, now: UnixMillis) {
        let before = self.stamp;
        let forward = now.since(self.shown(before));
        self.stamp = before.saturating_add(forward);
        if forward > STEP_MIN && self.told().is_some() {
            if self.steps.len() >= STEP_COUNT_MAX {
                self.forgotten_ms += self.steps.remove(0).undone_ms;
            }
            self.steps.push(Step {
                before,
                after: self.stamp,
                undone_ms: 0,
            });
        }
        self.told = now;
        let can_undo = self.steps.iter().any(|step| step.left_ms() > 0);
        let is_behind = can_undo && self.ahead() > STEP_MIN;
        self.behind_since = is_behind.then_some(self.stamp);
    }

    /// Sets time back to `now`, as far as steps can be undone, the last one first: never below the stamp
    /// before a step and the time since. Returns from which time on, and by how much.
    pub(crate) fn set_back(&mut self, now: UnixMillis) -> Option<(UnixMillis, Duration)> {
        self.advance(now);
        self.behind_since.take()?;
        let (before, ahead_ms) = (self.clone(), millis(self.ahead()));
        let (mut left_ms, mut from) = (ahead_ms, self.stamp);
        for step in self
            .steps
            .iter_mut()
            .rev()
            .filter(|step| step.left_ms() > 0)
        {
            if left_ms > 0 {
                let undone_ms = step.left_ms().min(left_ms);
                step.undone_ms += undone_ms;
                left_ms -= undone_ms;
                from = step.after;
            }
        }
        Some((
            before.shown(from),
            Duration::from_millis(ahead_ms - left_ms),
        ))
    }
}

#[cfg(test)]
#[path = "cluster_time_tests.rs"]
mod tests;
