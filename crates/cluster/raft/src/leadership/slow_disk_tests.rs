use super::*;

const FAST: SyncCounts = SyncCounts {
    count: 50,
    slow_count: 0,
};

const SLOW: SyncCounts = SyncCounts {
    count: 50,
    slow_count: 5,
};

const IDLE: SyncCounts = SyncCounts {
    count: 0,
    slow_count: 0,
};

/// Whether the disk is slow after checks with these counts.
fn is_slow_after(checks: impl IntoIterator<Item = SyncCounts>) -> bool {
    let mut detector = SlowDiskDetector::default();
    let slow = checks.into_iter().map(|counts| detector.update(counts));
    slow.last().expect("a check")
}

fn repeated(counts: SyncCounts, checks: usize) -> impl Iterator<Item = SyncCounts> + Clone {
    std::iter::repeat_n(counts, checks)
}

#[test]
fn a_disk_that_stalls_once_is_not_slow() {
    assert!(!is_slow_after([FAST, SLOW, FAST, FAST]));
    // However long the single stall was, and however few other syncs there were.
    let alone = SyncCounts {
        count: 1,
        slow_count: 1,
    };
    assert!(!is_slow_after([IDLE, alone, alone, IDLE]));
}

#[test]
fn a_disk_that_is_slow_again_and_again_is_slow() {
    assert!(is_slow_after(repeated(SLOW, SLOW_CHECK_COUNT_MIN)));
    assert!(is_slow_after([SLOW, FAST, SLOW, FAST, FAST, SLOW]));
}

#[test]
fn stalls_far_apart_do_not_add_up() {
    let apart = std::iter::once(SLOW).chain(repeated(FAST, WINDOW_CHECK_COUNT / 2));
    let checks: Vec<_> = apart.cycle().take(20 * WINDOW_CHECK_COUNT).collect();
    assert!(!is_slow_after(checks));
}

#[test]
fn one_slow_sync_in_a_hundred_is_not_too_much() {
    let counts = |slow_count| SyncCounts {
        count: 1000,
        slow_count,
    };
    assert!(!is_slow_after(repeated(counts(10), WINDOW_CHECK_COUNT)));
    assert!(is_slow_after(repeated(counts(11), WINDOW_CHECK_COUNT)));
}

#[test]
fn a_slow_disk_is_fast_again_only_after_a_long_calm() {
    let slow = repeated(SLOW, WINDOW_CHECK_COUNT);
    for calm in [FAST, IDLE] {
        let after = |checks| is_slow_after(slow.clone().chain(repeated(calm, checks)));
        assert!(after(CALM_CHECK_COUNT as usize - 1));
        assert!(!after(CALM_CHECK_COUNT as usize));
    }
    let half = repeated(FAST, CALM_CHECK_COUNT as usize / 2);
    let again = slow.chain(half.clone()).chain([SLOW]).chain(half);
    assert!(
        is_slow_after(again),
        "a stall in between starts the calm again"
    );
}

#[test]
fn a_sync_that_hangs_counts_at_each_check() {
    let meter = SyncMeter::new(0);
    meter.write_started();
    let hanging = SyncCounts {
        count: 1,
        slow_count: 1,
    };
    assert_eq!([meter.take(), meter.take()], [hanging, hanging]);
    meter.write_finished();
    assert_eq!([meter.take(), meter.take()], [hanging, IDLE]);

    let meter = SyncMeter::new(u64::MAX);
    meter.write_started();
    assert_eq!(meter.take(), IDLE);
    meter.write_finished();
    let fast = SyncCounts {
        count: 1,
        slow_count: 0,
    };
    assert_eq!(meter.take(), fast);
}
