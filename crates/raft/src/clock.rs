//! The clock of this machine, and whether it can be trusted.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use quorate_state::{UnixMillis, millis};
use tokio::time::Instant;

/// What the clock of this machine says.
pub(crate) fn now() -> UnixMillis {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    UnixMillis(millis(since_epoch))
}

/// How far the wall clock may run ahead of the monotonic one between two looks. Slewing corrects
/// less; more is a step, and a step of the retention would remove every packet.
const CLOCK_STEP_MAX: Duration = Duration::from_secs(60);

/// Tells when the wall clock has been set forward.
pub(crate) struct Clock {
    wall: UnixMillis,
    monotonic: Instant,
    trusted_from: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let monotonic = Instant::now();
        Self {
            wall: now(),
            monotonic,
            trusted_from: monotonic,
        }
    }

    /// Whether the wall clock was set forward since the last look.
    pub(crate) fn has_jumped(&mut self) -> bool {
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
    pub(crate) fn distrust(&mut self, retention: Duration) {
        self.trusted_from = self.monotonic + retention;
    }

    pub(crate) fn is_trusted(&self) -> bool {
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
