//! When a failed attempt is repeated.

use std::time::Duration;

use quorate_replica::UnixMillis;
use sha2::{Digest, Sha256};

/// How long after the first failure: a moment's outage is over by then.
const BACKOFF_MIN: Duration = Duration::from_mins(1);

/// How long at most: four attempts a day offend no authority.
pub(crate) const BACKOFF_MAX: Duration = Duration::from_hours(6);

/// The share of the wait that is random, so that clusters do not return all at once.
const JITTER: f64 = 0.1;

/// The longest time that an authority may ask us to wait. The limits of public ones are for a week at most.
pub(crate) const RETRY_AFTER_MAX: Duration = Duration::from_hours(7 * 24);

/// When to try again after this many failures, the last of them now.
pub(crate) fn next_attempt(
    now: UnixMillis,
    failure_count: u32,
    retry_after: Option<Duration>,
) -> UnixMillis {
    let doublings = failure_count.saturating_sub(1).min(16);
    let wait = BACKOFF_MIN.saturating_mul(1 << doublings).min(BACKOFF_MAX);
    let share = fraction(&[&now.0.to_be_bytes(), &failure_count.to_be_bytes()]);
    let wait = wait.mul_f64(1.0 + JITTER * share).min(BACKOFF_MAX);
    let wait = wait.max(retry_after.unwrap_or_default().min(RETRY_AFTER_MAX));
    now.saturating_add(wait)
}

/// Whether a stored time is still to be waited for that was at most `longest` ahead. One that is further ahead is from
/// a clock that was wrong.
pub(crate) fn is_ahead(now: UnixMillis, until: u64, longest: Duration) -> bool {
    (now.0 + 1..=now.saturating_add(longest).0).contains(&until)
}

/// A number from 0 to 1 that looks random and is always the same for `of`, so that every leader finds the same.
pub(crate) fn fraction(of: &[&[u8]]) -> f64 {
    let mut sha256 = Sha256::new();
    for part in of {
        sha256.update(part);
    }
    let digest = sha256.finalize();
    let first = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
    f64::from(first) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

    fn wait(failure_count: u32, retry_after: Option<u64>) -> Duration {
        let retry_after = retry_after.map(Duration::from_secs);
        next_attempt(NOW, failure_count, retry_after).since(NOW)
    }

    #[test]
    fn waits_double_from_a_minute_to_six_hours() {
        for count in 1..=8 {
            let least = Duration::from_secs(60 << (count - 1));
            let wait = wait(count, None);
            assert!(
                wait >= least && wait <= least.mul_f64(1.1),
                "{count}: {wait:?}"
            );
        }
        for count in [10, 40, u32::MAX] {
            assert_eq!(wait(count, None), BACKOFF_MAX);
        }
    }

    #[test]
    fn the_authority_may_ask_for_a_longer_wait_but_not_forever() {
        assert_eq!(wait(1, Some(7000)), Duration::from_secs(7000));
        assert!(wait(5, Some(3)) > Duration::from_secs(900));
        assert_eq!(wait(1, Some(u64::MAX)), RETRY_AFTER_MAX);
    }

    #[test]
    fn a_time_of_a_clock_that_was_ahead_is_not_waited_for() {
        let hour = Duration::from_hours(1);
        let is_ahead = |millis| is_ahead(NOW, NOW.0.saturating_add(millis), hour);
        assert!(!is_ahead(0) && is_ahead(1) && is_ahead(3_600_000));
        assert!(!is_ahead(3_600_001) && !is_ahead(u64::MAX));
    }
}
