//! The cluster time in the log, with forward steps that can be undone.

use std::time::Duration;

use crate::{UnixMillis, codec::fields, millis};

/// The smallest gap between the times of two commands that counts as a step.
///
/// A leader that knows the time writes it to the log every [`TICK_INTERVAL`]. So a larger gap means that the
/// clocks of a majority were set, or that the cluster was down. A smaller step corrects itself: it is over
/// before anything is undone.
pub const STEP_MIN: Duration = Duration::from_secs(15 * 60);

/// The longest time between two times in the log.
pub const TICK_INTERVAL: Duration = Duration::from_secs(5 * 60);

/// The most recorded steps. When there are more, the oldest is forgotten: it can no longer be undone, and
/// counts as passed time.
pub const STEP_COUNT_MAX: usize = 16;

const _: () = assert!(TICK_INTERVAL.as_secs() * 2 < STEP_MIN.as_secs());

/// The cluster time in the log.
///
/// Each command that stores packets, and each `Tick`, carries the time on which a majority agreed at its
/// proposal. That time may go back. *Stamps*, with which packets are stored, never go back, so their order
/// stays when time is set back: the undone part of steps is subtracted when a stamp is read, by
/// [`shown`](Self::shown).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterTime {
    /// The last time in a command; small steps back are ignored.
    last_in_log: UnixMillis,
    /// The last stamp.
    stamp: UnixMillis,
    /// Forward steps, the oldest first.
    steps: Vec<Step>,
    /// The undone part of forgotten steps, in milliseconds.
    forgotten_ms: u64,
    /// The stamp at which the time in commands stepped back, while a forward step can be undone.
    behind_since: Option<UnixMillis>,
}

/// A forward step of the stamps. There are no stamps between the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Step {
    before: UnixMillis,
    after: UnixMillis,
    /// How much of it was undone, at most all of it.
    undone_ms: u64,
}

fields! {
    ClusterTime { last_in_log, stamp, steps, forgotten_ms, behind_since }
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
    /// The time of a cluster whose last command was at `last`, with no step before it.
    pub fn starting_at(last: UnixMillis) -> Self {
        Self {
            last_in_log: last,
            stamp: last,
            ..Self::default()
        }
    }

    /// The last stamp.
    pub fn last_stamp(&self) -> UnixMillis {
        self.stamp
    }

    /// The last time in the log, if any.
    pub fn last_in_log(&self) -> Option<UnixMillis> {
        (self.last_in_log > UnixMillis(0)).then_some(self.last_in_log)
    }

    /// The stamp for an event at `now`. `None` if that is a step, which must be in the log first.
    pub fn stamp_at(&self, now: UnixMillis) -> Option<UnixMillis> {
        let last_in_log = self.last_in_log()?;
        let is_step = now.since(last_in_log).max(last_in_log.since(now)) > STEP_MIN;
        // After a step that can be undone, stamps continue, to measure how much time has passed. Otherwise
        // stamps wait until the time has reached them.
        let from = match self.behind_since {
            Some(_) => last_in_log,
            None => self.shown(self.stamp),
        };
        (!is_step).then(|| self.stamp.saturating_add(now.since(from)))
    }

    /// The time that a stamp means.
    pub fn shown(&self, stamp: UnixMillis) -> UnixMillis {
        let passed = self.steps.iter().filter(|step| step.after <= stamp);
        let undone_ms: u64 = passed.map(|step| step.undone_ms).sum();
        UnixMillis(stamp.0.saturating_sub(self.forgotten_ms + undone_ms))
    }

    /// The stamp of packets with age `age` at the stamp `now`. Steps make nothing older, because nobody could
    /// publish during one.
    pub fn cutoff(&self, now: UnixMillis, age: Duration) -> UnixMillis {
        let mut cutoff = now.saturating_sub(age);
        for step in self.steps.iter().rev() {
            if cutoff <= step.after {
                cutoff.0 = cutoff.0.saturating_sub(step.size_ms());
            }
        }
        cutoff
    }

    /// For how long a majority has agreed on a time before a step that can be undone; `None` if it does not
    /// at `now`.
    pub fn behind_for(&self, now: UnixMillis) -> Option<Duration> {
        Some(self.stamp_at(now)?.since(self.behind_since?))
    }

    /// Whether time will be set back if a majority continues to agree on the earlier time.
    pub fn is_behind(&self) -> bool {
        self.behind_since.is_some()
    }

    /// How far time was set back in total: the last stamp is ahead of its meaning by this much.
    pub fn set_back_by(&self) -> Duration {
        self.stamp.since(self.shown(self.stamp))
    }

    /// How far the meaning of the last stamp is ahead of the last time in a command.
    pub fn ahead(&self) -> Duration {
        self.shown(self.stamp).since(self.last_in_log)
    }

    /// The last forward step: its first stamp and its length.
    pub fn last_step(&self) -> Option<(UnixMillis, Duration)> {
        let step = self.steps.last()?;
        Some((step.after, Duration::from_millis(step.size_ms())))
    }

    /// Records the time of a command, and returns its stamp.
    pub(crate) fn advance(&mut self, now: UnixMillis) -> UnixMillis {
        match self.stamp_at(now) {
            Some(stamp) => {
                self.stamp = stamp;
                self.last_in_log = self.last_in_log.max(now);
            }
            None => self.step(now),
        }
        self.stamp
    }

    fn step(&mut self, now: UnixMillis) {
        let before = self.stamp;
        let forward = now.since(self.shown(before));
        self.stamp = before.saturating_add(forward);
        if forward > STEP_MIN && self.last_in_log().is_some() {
            if self.steps.len() >= STEP_COUNT_MAX {
                self.forgotten_ms += self.steps.remove(0).undone_ms;
            }
            self.steps.push(Step {
                before,
                after: self.stamp,
                undone_ms: 0,
            });
        }
        self.last_in_log = now;
        let can_undo = self.steps.iter().any(|step| step.left_ms() > 0);
        let is_behind = can_undo && self.ahead() > STEP_MIN;
        self.behind_since = is_behind.then_some(self.stamp);
    }

    /// Sets time back to `now`, as far as steps can be undone, the last one first: never below the stamp
    /// before a step plus the time since. Returns the time before, and the difference.
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
