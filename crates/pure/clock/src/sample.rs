//! One sample of a clock.

use std::time::Duration;

use quorate_state::{UnixMillis, millis};

use crate::interval::Interval;

/// How long a sample is valid. Live members exchange messages many times a second; the clock of a member
/// that is silent for longer may have changed.
const AGE_MAX: Duration = Duration::from_secs(60);

/// How fast the clocks of two machines may drift apart: a millisecond in a second, about ten times the
/// drift of quartz and twice the maximum of a slewed clock.
const DRIFT_PER_SECOND_MS: i64 = 1;

/// One sample of a clock: how far it is ahead of the monotonic clock of this node. The clock was read
/// between two monotonic times, so this is an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    offset: Interval,
    taken: Duration,
}

impl Sample {
    /// A sample of a clock that showed `clock` at some time between `sent` and `received`. `None` if `sent`
    /// is after `received`.
    pub fn new(clock: UnixMillis, sent: Duration, received: Duration) -> Option<Self> {
        let offset = Interval {
            // Clocks are read in whole milliseconds, so each reading may be one too low.
            low: offset(clock, received).saturating_sub(1),
            high: offset(clock, sent).saturating_add(1),
        };
        (sent <= received).then_some(Self {
            offset,
            taken: received,
        })
    }

    /// The offset interval now, if this sample is still valid.
    pub(crate) fn offset(&self, now: Duration) -> Option<Interval> {
        let age = now.saturating_sub(self.taken);
        let drift = millis(age).cast_signed() / 1000 * DRIFT_PER_SECOND_MS;
        (age <= AGE_MAX).then(|| self.offset.widened(drift))
    }

    /// The width of the interval, in milliseconds.
    pub(crate) fn width_ms(&self) -> u64 {
        self.offset.width().unsigned_abs()
    }
}

/// How far a wall clock is ahead of the monotonic clock.
pub(crate) fn offset(clock: UnixMillis, monotonic: Duration) -> i64 {
    signed(clock.0).saturating_sub(signed(millis(monotonic)))
}

/// The reading of a wall clock with this offset at `monotonic`.
pub(crate) fn clock_at(offset: i64, monotonic: Duration) -> UnixMillis {
    let clock = offset.saturating_add(signed(millis(monotonic)));
    UnixMillis(clock.max(0).unsigned_abs())
}

/// Converts, limited to half of the range, so that calculations cannot overflow.
fn signed(millis: u64) -> i64 {
    const LATEST: u64 = i64::MAX as u64 / 2;
    millis.min(LATEST).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_clock_is_known_to_the_round_trip() {
        let sample = Sample::new(UnixMillis(50_000), 4 * SECOND, 6 * SECOND).unwrap();
        let offset = sample.offset(6 * SECOND).unwrap();
        assert_eq!((offset.low, offset.high), (43_999, 46_001));
        assert_eq!(sample.width_ms(), 2002);
        let earlier = Sample::new(UnixMillis(50_000), 7 * SECOND, 6 * SECOND);
        assert_eq!(earlier, None, "nothing is received before it is sent");
    }

    #[test]
    fn a_look_gets_less_exact_and_then_does_not_count() {
        let sample = Sample::new(UnixMillis(50_000), SECOND, SECOND).unwrap();
        let width = |now| sample.offset(now).map(Interval::width);
        assert_eq!(width(SECOND), Some(2));
        assert_eq!(width(11 * SECOND), Some(22));
        assert_eq!(width(61 * SECOND), Some(122));
        assert_eq!(width(62 * SECOND), None);
    }

    #[test]
    fn any_number_is_a_clock() {
        for clock in [0, 1, u64::MAX / 2, u64::MAX] {
            let at = Duration::MAX;
            let sample = Sample::new(UnixMillis(clock), Duration::ZERO, at).unwrap();
            let offset = sample.offset(at).unwrap();
            assert!(offset.low < offset.high);
            assert!(clock_at(offset.low, at) <= clock_at(offset.high, at));
        }
    }
}
