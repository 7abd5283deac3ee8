use super::*;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const RETENTION: Duration = Duration::from_secs(7 * 24 * 3600);

/// What time it truly is when the monotonic clock says zero.
const TRUTH: UnixMillis = UnixMillis(1_700_000_000_000);

/// How a clock is wrong.
#[derive(Debug, Clone, Copy)]
enum Wrong {
    Ahead(Duration),
    Behind(Duration),
}
use Wrong::{Ahead, Behind};

const RIGHT: Wrong = Ahead(Duration::ZERO);

fn says(clock: Wrong, now: Duration) -> UnixMillis {
    let truth = TRUTH.saturating_add(now);
    match clock {
        Ahead(by) => truth.saturating_add(by),
        Behind(by) => truth.saturating_sub(by),
    }
}

/// Node 1 of `count` voters, whose log recorded the time this long before the start.
fn node(count: u64, last_in_log: Option<Duration>) -> ClusterClock<u64> {
    let config = ClockConfig {
        tolerance: 10 * SECOND,
        retention: RETENTION,
        trusted: false,
    };
    let start = Start {
        at: Duration::ZERO,
        last_in_log: last_in_log.map(|before| TRUTH.saturating_sub(before)),
    };
    let mut clock = ClusterClock::new(1, config);
    clock.set_start(start);
    clock.set_voters(1..=count);
    clock
}

/// The look at a clock that a round trip of 10 ms gives.
fn look(clock: Wrong, now: Duration) -> Sample {
    let sent = now.saturating_sub(Duration::from_millis(10));
    Sample::new(says(clock, now), sent, now).unwrap()
}

fn record(clock: &mut ClusterClock<u64>, now: Duration, others: &[(u64, Wrong)]) {
    for (peer, wrong) in others {
        clock.record(*peer, look(*wrong, now));
    }
}

fn error(reading: &Reading, now: Duration) -> Duration {
    let truth = says(RIGHT, now);
    reading.time.since(truth).max(truth.since(reading.time))
}

#[test]
fn a_clock_days_ahead_is_outvoted() {
    for own in [Ahead(8 * DAY), Behind(8 * DAY), Behind(HOUR / 3)] {
        let mut clock = node(3, Some(SECOND));
        let now = HOUR;
        record(&mut clock, now, &[(2, RIGHT), (3, Behind(SECOND))]);
        let reading = clock.read(now, says(own, now));
        assert_eq!(reading.state, ClockState::Disagrees);
        assert!(error(&reading, now) <= SECOND, "{reading:?}");
        assert!(!reading.may_expire);
        let off = reading.offset_ms.unwrap().unsigned_abs();
        let (Ahead(by) | Behind(by)) = own;
        assert!(off.abs_diff(millis(by)) <= 1000, "{off}");
        assert_eq!(clock.stamp(now, says(own, now)), None);
    }
}

#[test]
fn the_outlier_among_the_others_is_not_heeded() {
    let mut clock = node(3, Some(SECOND));
    let now = HOUR;
    record(&mut clock, now, &[(2, Ahead(8 * DAY)), (3, RIGHT)]);
    let wall = says(RIGHT, now);
    let reading = clock.read(now, wall);
    assert_eq!((reading.state, reading.time), (ClockState::Agreed, wall));
    let stamp = clock.stamp(now, wall).unwrap();
    assert_eq!(stamp.now, wall);
    assert_eq!(
        stamp.timestamp_max,
        wall.saturating_add(TIMESTAMP_AHEAD_MAX)
    );
}

#[test]
fn a_majority_is_one_of_all_voters() {
    let mut clock = node(5, Some(HOUR));
    let (now, wall) = (SECOND, says(RIGHT, SECOND));
    record(&mut clock, now, &[(2, RIGHT)]);
    assert_eq!(clock.read(now, wall).state, ClockState::Unknown);
    record(&mut clock, now, &[(9, RIGHT)]);
    assert_eq!(
        clock.read(now, wall).state,
        ClockState::Unknown,
        "9 is no voter"
    );
    record(&mut clock, now, &[(3, RIGHT)]);
    assert_eq!(clock.read(now, wall).state, ClockState::Agreed);
    clock.set_voters([1, 2, 4, 5]);
    assert_eq!(
        clock.read(now, wall).state,
        ClockState::Held,
        "3 is none now"
    );
}

#[test]
fn clocks_that_differ_by_the_tolerance_agree_and_by_more_do_not() {
    for (apart, state) in [(9, ClockState::Agreed), (11, ClockState::Unknown)] {
        let mut clock = node(2, Some(HOUR));
        let now = SECOND;
        record(&mut clock, now, &[(2, Ahead(apart * SECOND))]);
        assert_eq!(clock.read(now, says(RIGHT, now)).state, state, "{apart} s");
    }
}

#[test]
fn a_silent_clock_does_not_count_for_long() {
    let mut clock = node(3, None);
    record(&mut clock, SECOND, &[(2, RIGHT)]);
    let state = |clock: &mut ClusterClock<_>, now| clock.read(now, says(RIGHT, now)).state;
    assert_eq!(state(&mut clock, 50 * SECOND), ClockState::Agreed);
    assert_eq!(state(&mut clock, 62 * SECOND), ClockState::Held);
}

#[test]
fn a_check_that_took_longer_than_the_tolerance_is_ignored() {
    let mut clock = node(2, None);
    let wide = Sample::new(says(RIGHT, HOUR), HOUR - 11 * SECOND, HOUR).unwrap();
    clock.record(2, wide);
    assert_eq!(
        clock.read(HOUR, says(RIGHT, HOUR)).state,
        ClockState::Unknown
    );
}

#[test]
fn without_agreement_the_last_agreed_time_continues() {
    let mut clock = node(3, Some(SECOND));
    record(&mut clock, SECOND, &[(2, RIGHT)]);
    clock.read(SECOND, says(RIGHT, SECOND));
    let now = 3 * HOUR;
    // The clock of this node is set a day ahead meanwhile.
    record(&mut clock, now, &[(2, Behind(DAY))]);
    let wall = says(Ahead(DAY), now);
    let reading = clock.read(now, wall);
    assert_eq!(
        (reading.state, reading.time),
        (ClockState::Held, says(RIGHT, now))
    );
    assert!(!reading.may_expire);
    assert_eq!(reading.latest, wall, "what is fresh by any clock is taken");
    assert_eq!(clock.stamp(now, wall).unwrap().now, says(RIGHT, now));
}

#[test]
fn before_any_agreement_the_time_comes_from_the_log() {
    let mut clock = node(3, Some(2 * DAY));
    let now = 5 * SECOND;
    record(&mut clock, now, &[(2, RIGHT)]);
    let reading = clock.read(now, says(Behind(HOUR), now));
    assert_eq!(reading.state, ClockState::Unknown);
    assert_eq!(reading.time, says(Behind(2 * DAY), now));
    assert!(!reading.may_expire);
    let latest = reading.latest.since(says(RIGHT, now));
    assert!(
        latest < SECOND,
        "the latest clock, not this node's: {latest:?}"
    );
    assert!(reading.latest >= says(RIGHT, now));
}

#[test]
fn an_empty_store_starts_with_the_earliest_clock() {
    let mut clock = node(3, None);
    let now = 5 * SECOND;
    record(&mut clock, now, &[(2, Ahead(8 * DAY))]);
    let reading = clock.read(now, says(RIGHT, now));
    assert_eq!(
        (reading.state, reading.time),
        (ClockState::Unknown, says(RIGHT, now))
    );
}

#[test]
fn a_follower_uses_the_time_of_one_that_received_a_majority() {
    let mut clock = node(5, Some(SECOND));
    let now = SECOND;
    clock.record(2, look(RIGHT, now));
    clock.record_agreed(2, look(RIGHT, now));
    let reading = clock.read(now, says(Ahead(SECOND), now));
    assert_eq!(reading.state, ClockState::Agreed);
    assert_eq!(reading.first_hand, None, "it does not pass it on");
    let reading = clock.read(now, says(Ahead(DAY), now));
    assert_eq!(reading.state, ClockState::Disagrees);
    assert!(error(&reading, now) < SECOND);
    let later = now + 2 * Duration::from_secs(60);
    let reading = clock.read(later, says(RIGHT, later));
    assert_eq!(reading.state, ClockState::Held, "nor heeds it for ever");
}

#[test]
fn a_node_by_itself_agrees_with_itself() {
    let mut clock = node(1, Some(6 * DAY));
    let reading = clock.read(SECOND, says(RIGHT, SECOND));
    assert_eq!(
        (reading.state, reading.time),
        (ClockState::Agreed, says(RIGHT, SECOND))
    );
    assert!(!reading.may_expire, "publishers come first");
    let now = HOUR + 2 * SECOND;
    assert!(clock.read(now, says(RIGHT, now)).may_expire);
}

#[test]
fn a_node_by_itself_moves_no_further_than_the_retention_without_a_word() {
    for wrong in [Ahead(8 * DAY), Behind(8 * DAY)] {
        let mut clock = node(1, Some(SECOND));
        let now = HOUR;
        let reading = clock.read(now, says(wrong, now));
        assert_eq!(reading.state, ClockState::Unknown);
        assert_eq!(error(&reading, now), SECOND);
        assert!(!reading.may_expire);
        let fresh = says(wrong, now).max(reading.time);
        assert_eq!(reading.latest, fresh);

        clock.config.trusted = true;
        let reading = clock.read(now, says(wrong, now));
        assert_eq!(
            (reading.state, reading.time),
            (ClockState::Agreed, says(wrong, now))
        );
    }
    let mut empty = node(1, None);
    let reading = empty.read(SECOND, says(Ahead(8 * DAY), SECOND));
    assert_eq!(
        reading.state,
        ClockState::Agreed,
        "nothing is there to protect"
    );
}

#[test]
fn the_word_is_about_the_start() {
    let mut clock = node(1, Some(SECOND));
    clock.config.trusted = true;
    clock.read(SECOND, says(RIGHT, SECOND));
    let reading = clock.read(HOUR, says(Ahead(8 * DAY), HOUR));
    assert_eq!(
        (reading.state, reading.time),
        (ClockState::Held, says(RIGHT, HOUR))
    );
    let now = 2 * HOUR;
    let reading = clock.read(now, says(RIGHT, now));
    assert_eq!(
        reading.state,
        ClockState::Agreed,
        "and it is set right again"
    );
}

#[test]
fn after_a_step_nothing_expires_for_the_retention() {
    let mut clock = node(1, Some(SECOND));
    clock.read(SECOND, says(RIGHT, SECOND));
    let step = 2 * HOUR;
    let ahead = Ahead(DAY);
    assert_eq!(
        clock.read(step, says(ahead, step)).state,
        ClockState::Agreed
    );
    for (days, may_expire) in [(1, false), (6, false), (8, true)] {
        let now = days * DAY;
        assert_eq!(clock.read(now, says(ahead, now)).may_expire, may_expire);
    }
}

#[test]
fn the_clocks_of_other_nodes_are_reported() {
    let mut clock = node(3, None);
    record(&mut clock, HOUR, &[(2, RIGHT), (3, Ahead(SECOND))]);
    let differences = clock.differences_ms(HOUR, says(Ahead(HOUR), HOUR));
    let near = |peer: usize, expected: i64| (differences[peer].1 - expected).abs() < 20;
    assert!(
        near(0, -3_600_000) && near(1, -3_599_000),
        "{differences:?}"
    );
}
