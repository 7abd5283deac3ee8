//! What holds whatever a minority of the clocks say.

use proptest::{collection::vec, prelude::*};

use super::*;

const TOLERANCE_MS: u64 = 10_000;
const RETENTION: Duration = Duration::from_secs(7 * 24 * 3600);
const TRUTH: u64 = 1_700_000_000_000;

fn clock(voters: u64, last_in_log: Option<UnixMillis>) -> ClusterClock<u64> {
    let config = ClockConfig {
        tolerance: Duration::from_millis(TOLERANCE_MS),
        retention: RETENTION,
        trusted: false,
    };
    let at = Duration::ZERO;
    let mut clock = ClusterClock::new(0, config);
    clock.set_start(Start { at, last_in_log });
    clock.set_voters(0..voters);
    clock
}

/// Clocks that are right to half of the tolerance, milliseconds from the truth.
fn right() -> impl Strategy<Value = i64> {
    let half = (TOLERANCE_MS / 2) as i64;
    -half..=half
}

/// Any clock at all, most of them not too far from the truth.
fn any_clock() -> impl Strategy<Value = u64> {
    let day = 24 * 3_600_000;
    prop_oneof![
        4 => TRUTH - 30 * day..TRUTH + 30 * day,
        2 => TRUTH - 30_000..TRUTH + 30_000,
        1 => any::<u64>(),
    ]
}

fn error_ms(time: UnixMillis, now_ms: u64) -> u64 {
    time.0.abs_diff(TRUTH + now_ms)
}

proptest! {
    /// A minority of liars, of which this node may be one, does not move the time by more than the
    /// tolerance and what is unknown of the trips.
    #[test]
    fn a_minority_of_liars_does_not_move_the_time(
        quorum in 2..=4_u64,
        right in vec(right(), 4),
        lies in vec(any_clock(), 3),
        trips_ms in vec(1..2_000_u64, 7),
        own in 0..7_usize,
        now_ms in 10_000..100_000_000_u64,
    ) {
        let voters = 2 * quorum - 1;
        let right = right.iter().map(|off| (TRUTH + now_ms).saturating_add_signed(*off));
        let honest: Vec<_> = right.take(quorum as usize).collect();
        let liars = lies.into_iter().take(quorum as usize - 1);
        let mut clocks: Vec<_> = honest.into_iter().chain(liars).collect();
        let own = own % clocks.len();
        let wall = UnixMillis(clocks.remove(own));
        let now = Duration::from_millis(now_ms);
        let mut clock = clock(voters, None);
        let mut trip_max_ms = 0;
        for ((peer, time), trip_ms) in (1..).zip(clocks).zip(trips_ms) {
            let sent = now - Duration::from_millis(trip_ms);
            // It was read when the message was halfway.
            let time = UnixMillis(time.saturating_sub(trip_ms / 2));
            clock.record(peer, Sample::new(time, sent, now).unwrap());
            trip_max_ms = trip_ms.max(trip_max_ms);
        }
        let reading = clock.read(now, wall);
        prop_assert!(reading.offset_ms.is_some(), "a majority agrees: {reading:?}");
        let error = error_ms(reading.time, now_ms);
        prop_assert!(error <= TOLERANCE_MS + trip_max_ms + 2, "{error} ms: {reading:?}");
    }

    /// A node that has heard no majority lets nothing expire, whatever it hears.
    #[test]
    fn nothing_expires_by_the_word_of_a_minority(
        own in any_clock(),
        other in any_clock(),
        looks in vec(1..30_000_u64, 1..40),
    ) {
        let mut clock = clock(5, Some(UnixMillis(TRUTH)));
        let mut now_ms = 0;
        for pause_ms in looks {
            now_ms += pause_ms;
            let now = Duration::from_millis(now_ms);
            let time = UnixMillis(other.saturating_add(now_ms));
            clock.record(1, Sample::new(time, now, now).unwrap());
            let reading = clock.read(now, UnixMillis(own.saturating_add(now_ms)));
            prop_assert!(!reading.may_expire);
            prop_assert_eq!(reading.time, UnixMillis(TRUTH + now_ms));
        }
    }
}
