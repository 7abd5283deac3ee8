//! One look at a clock.

use std::time::Duration;

use quorate_state::{UnixMillis, millis};

use crate::interval::Interval;

/// How long a look counts. Members that work hear of each other many times a second; of one that is
/// silent for longer, the clock may be another one by now.
const AGE_MAX: Duration = Duration::from_secs(60);

/// How fast the clocks of two machines drift apart at most: a millisecond in a second, some ten times
/// what quartz does and twice what a slewed clock may.
const DRIFT_PER_SECOND_MS: i64 = 1;

/// One look at a clock: by how much it is ahead of the monotonic clock of this node. The clock was
/// read between two moments of that, so this is known as an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    offset: Interval,
    taken: Duration,
}

impl Sample {
    /// A look at a clock that said `clock` at some moment between `sent` and `received`. `None` if
    /// there is no such moment.
    pub fn new(clock: UnixMillis, sent: Duration, received: Duration) -> Option<Self> {
        let offset = Interval {
            // The clocks tell whole milliseconds, and so may each be read one too low.
            low: offset(clock, received).saturating_sub(1),
            high: offset(clock, sent).saturating_add(1),
        };
        (sent <= received).then_some(Self {
            offset,
            taken: received,
        })
    }

    /// Where the offset lies now, if this look still counts.
    pub(crate) fn offset(&self, now: Duration) -> Option<Interval> {
        let age = now.saturating_sub(self.taken);
        let drift = millis(age).cast_signed() / 1000 * DRIFT_PER_SECOND_MS;
        (age <= AGE_MAX).then(|| self.offset.widened(drift))
    }

    /// How much is unknown of the offset, in milliseconds.
    pub(crate) fn width_ms(&self) -> u64 {
        self.offset.width().unsigned_abs()
    }
}

/// By how much a wall clock is ahead of the monotonic one.
pub(crate) fn offset(clock: UnixMillis, monotonic: Duration) -> i64 {
    signed(clock.0).saturating_sub(signed(millis(monotonic)))
}

/// What a wall clock of this offset says at `monotonic`.
pub(crate) fn clock_at(offset: i64, monotonic: Duration) -> UnixMillis {
    let clock = offset.saturating_add(signed(millis(monotonic)));
    UnixMillis(clock.max(0).unsigned_abs())
}

/// Half of the scale is enough for any clock, and leaves room for reckoning with it.
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
