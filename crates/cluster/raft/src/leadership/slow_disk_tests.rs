use super::*;

const FAST: Syncs = Syncs {
    count: 50,
    slow_count: 0,
};

const SLOW: Syncs = Syncs {
    count: 50,
    slow_count: 5,
};

const IDLE: Syncs = Syncs {
    count: 0,
    slow_count: 0,
};

/// What is judged at last after looks that found these.
fn judged(looks: impl IntoIterator<Item = Syncs>) -> bool {
    let mut judgement = Judgement::default();
    let judged = looks.into_iter().map(|syncs| judgement.after(syncs));
    judged.last().expect("a look")
}

fn repeated(syncs: Syncs, looks: usize) -> impl Iterator<Item = Syncs> + Clone {
    std::iter::repeat_n(syncs, looks)
}

#[test]
fn a_disk_that_stalls_once_is_not_slow() {
    assert!(!judged([FAST, SLOW, FAST, FAST]));
    // However long the one stall was, and however little else there was to do.
    let alone = Syncs {
        count: 1,
        slow_count: 1,
    };
    assert!(!judged([IDLE, alone, alone, IDLE]));
}

#[test]
fn a_disk_that_is_slow_again_and_again_is_slow() {
    assert!(judged(repeated(SLOW, SLOW_LOOKS_MIN)));
    assert!(judged([SLOW, FAST, SLOW, FAST, FAST, SLOW]));
}

#[test]
fn stalls_far_apart_do_not_add_up() {
    let apart = std::iter::once(SLOW).chain(repeated(FAST, WINDOW_LOOKS / 2));
    let looks: Vec<_> = apart.cycle().take(20 * WINDOW_LOOKS).collect();
    assert!(!judged(looks));
}

#[test]
fn less_than_one_slow_sync_in_a_hundred_is_none() {
    let syncs = |slow_count| Syncs {
        count: 1000,
        slow_count,
    };
    assert!(!judged(repeated(syncs(10), WINDOW_LOOKS)));
    assert!(judged(repeated(syncs(11), WINDOW_LOOKS)));
}

#[test]
fn a_slow_disk_is_fast_again_only_after_a_long_calm() {
    let slow = repeated(SLOW, WINDOW_LOOKS);
    for calm in [FAST, IDLE] {
        let after = |looks| judged(slow.clone().chain(repeated(calm, looks)));
        assert!(after(CALM_LOOKS as usize - 1));
        assert!(!after(CALM_LOOKS as usize));
    }
    let half = repeated(FAST, CALM_LOOKS as usize / 2);
    let again = slow.chain(half.clone()).chain([SLOW]).chain(half);
    assert!(judged(again), "a stall in between begins the calm anew");
}

#[test]
fn a_sync_that_hangs_counts_at_each_look() {
    let meter = SyncMeter::new(0);
    meter.begun();
    let hanging = Syncs {
        count: 1,
        slow_count: 1,
    };
    assert_eq!([meter.take(), meter.take()], [hanging, hanging]);
    meter.ended();
    assert_eq!([meter.take(), meter.take()], [hanging, IDLE]);

    let meter = SyncMeter::new(u64::MAX);
    meter.begun();
    assert_eq!(meter.take(), IDLE);
    meter.ended();
    let fast = Syncs {
        count: 1,
        slow_count: 0,
    };
    assert_eq!(meter.take(), fast);
}
