use proptest::{collection::vec, prelude::*};

use super::*;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);

const START: UnixMillis = UnixMillis(1_700_000_000_000);

/// A log whose leader tells the time as often as it must.
struct Log {
    time: ClusterTime,
    now: UnixMillis,
}

impl Log {
    fn begin() -> Self {
        let mut log = Self {
            time: ClusterTime::default(),
            now: START,
        };
        log.time.advance(START);
        log
    }

    /// Sets the clocks, and returns the stamp of what comes then.
    fn set(&mut self, now: UnixMillis) -> UnixMillis {
        self.now = now;
        self.time.advance(now)
    }

    fn pass(&mut self, span: Duration) -> UnixMillis {
        let end = self.now.saturating_add(span);
        while self.now < end {
            self.set(end.min(self.now.saturating_add(TICK_INTERVAL)));
        }
        self.time.stamp
    }

    fn set_back(&mut self) -> Option<Duration> {
        self.time.set_back(self.now).map(|(_, by)| by)
    }

    /// How old what has this stamp is by now, as far as it counts.
    fn is_older(&self, stamp: UnixMillis, age: Duration) -> bool {
        stamp < self.time.cutoff(self.time.stamp, age)
    }
}

fn after(span: Duration) -> UnixMillis {
    START.saturating_add(span)
}

#[test]
fn a_step_makes_nothing_older_and_is_undone() {
    let mut log = Log::begin();
    let before = log.pass(HOUR);
    let ahead = log.set(after(HOUR + MONTH));
    assert_eq!(ahead, after(HOUR + MONTH));
    assert!(!log.is_older(before, MINUTE) && log.is_older(before.saturating_sub(HOUR), MINUTE));
    let later = log.pass(HOUR);
    assert!(log.is_older(before, HOUR - MINUTE) && !log.is_older(before, HOUR));
    assert_eq!(log.set_back(), None, "nothing says that it was wrong");

    // The clocks are right again, and stamps go on where they are.
    log.set(after(2 * HOUR));
    assert!(log.time.is_behind());
    let stuck = log.pass(21 * HOUR);
    assert_eq!(stuck, later.saturating_add(21 * HOUR));
    assert_eq!(log.time.behind_for(log.now), Some(21 * HOUR));
    assert_eq!(log.time.shown(stuck), stuck);

    assert_eq!(log.set_back(), Some(MONTH));
    assert_eq!(log.time.set_back_by(), MONTH);
    let shown = |stamp| log.time.shown(stamp);
    assert_eq!(shown(START), START);
    assert_eq!(
        shown(before),
        after(HOUR),
        "nothing before the step is touched"
    );
    assert_eq!(shown(ahead), after(HOUR));
    assert_eq!(shown(later), after(2 * HOUR));
    assert_eq!(shown(stuck), log.now);
    assert!(!log.time.is_behind() && log.time.ahead().is_zero());
    assert_eq!(log.set_back(), None, "another leader's, once more");
    let next = log.pass(MINUTE);
    assert_eq!(
        (next, log.time.shown(next)),
        (stuck.saturating_add(MINUTE), log.now)
    );
}

/// As when a machine has no clock of its own, and its day begins in 1970.
#[test]
fn time_is_not_set_back_below_the_stamp_before_the_step_and_the_time_since() {
    let mut log = Log::begin();
    log.pass(HOUR);
    log.set(after(HOUR + MONTH));
    log.pass(DAY);
    log.set(UnixMillis(5));
    log.pass(21 * HOUR);
    assert_eq!(log.set_back(), Some(MONTH));
    let floor = after(HOUR + DAY + 21 * HOUR);
    assert_eq!(log.time.shown(log.time.stamp), floor);
    assert!(!log.time.is_behind(), "there is nothing left to undo");
    log.pass(DAY);
    assert_eq!(log.time.shown(log.time.stamp), floor, "stamps wait");
    log.set(floor.saturating_add(HOUR));
    assert_eq!(log.time.shown(log.time.stamp), floor.saturating_add(HOUR));
}

#[test]
fn without_a_step_in_the_log_stamps_wait_for_the_time() {
    let mut log = Log::begin();
    let last = log.pass(HOUR);
    log.set(START.saturating_sub(DAY));
    assert_eq!(log.pass(DAY), last);
    assert_eq!((log.time.behind_for(log.now), log.set_back()), (None, None));
    log.pass(HOUR + MINUTE);
    assert_eq!(log.time.shown(log.time.stamp), after(HOUR + MINUTE));
}

#[test]
fn another_step_of_the_clocks_restarts_the_wait() {
    let mut log = Log::begin();
    log.set(after(MONTH));
    log.set(after(DAY));
    log.pass(20 * HOUR);
    log.set(after(HOUR));
    assert_eq!(log.time.behind_for(log.now), Some(Duration::ZERO));
    log.pass(HOUR);
    log.set(after(MONTH + 21 * HOUR));
    assert!(!log.time.is_behind(), "they were right after all");
    assert_eq!(log.set_back(), None);
}

#[test]
fn the_oldest_of_too_many_steps_is_forgotten_and_what_was_undone_stays_undone() {
    let mut log = Log::begin();
    log.set(after(MONTH));
    log.set(START);
    log.pass(21 * HOUR);
    assert_eq!(log.set_back(), Some(MONTH));
    for _ in 0..STEP_COUNT_MAX {
        let next = log.now.saturating_add(HOUR);
        log.set(next);
        assert_eq!(log.time.shown(log.time.stamp), next);
        assert!(log.time.steps.len() <= STEP_COUNT_MAX);
    }
    assert_eq!(log.time.set_back_by(), MONTH);
    assert_eq!(log.time.steps[0].undone_ms, 0, "that one is gone");
}

#[test]
fn any_time_is_a_time() {
    let mut time = ClusterTime::default();
    for now in [0, u64::MAX, 0, 5, u64::MAX, u64::MAX / 2, 0] {
        time.advance(UnixMillis(now));
        time.set_back(UnixMillis(now));
        time.cutoff(time.stamp, MONTH);
    }
}

#[derive(Debug, Clone)]
enum Event {
    Pass(Duration),
    Set(UnixMillis),
    SetBack,
}

fn any_event() -> impl Strategy<Value = Event> {
    let days = |days| START.saturating_add(days * DAY);
    prop_oneof![
        4 => (0..30 * 60_000u64).prop_map(|ms| Event::Pass(Duration::from_millis(ms))),
        3 => (0..60u32).prop_map(move |at| Event::Set(days(at))),
        1 => Just(Event::Set(UnixMillis(7))),
        3 => Just(Event::SetBack),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    /// Stamps, and what they stand for, are in the order in which they were given, whatever is undone;
    /// and nothing is set back below the stamp before a step and the time since.
    #[test]
    fn the_times_of_stamps_stay_in_order(events in vec(any_event(), 1..60)) {
        let mut log = Log::begin();
        let (mut stamps, mut steps_ms) = (vec![log.time.stamp], 0);
        for event in events {
            let last = log.time.last_step();
            let shown: Vec<_> = stamps.iter().map(|stamp| log.time.shown(*stamp)).collect();
            let by = match event {
                Event::Pass(span) => {
                    log.pass(span);
                    None
                }
                Event::Set(now) => {
                    log.set(now);
                    None
                }
                Event::SetBack => log.set_back(),
            };
            stamps.push(log.time.stamp);
            if let Some((_, by)) = log.time.last_step().filter(|step| last != Some(*step)) {
                steps_ms += millis(by);
            }
            prop_assert!(stamps.is_sorted());
            let now_shown: Vec<_> = stamps.iter().map(|stamp| log.time.shown(*stamp)).collect();
            prop_assert!(now_shown.is_sorted(), "{:?}", log.time);
            let floor = log.time.stamp.0 - steps_ms;
            prop_assert!(now_shown[stamps.len() - 1].0 >= floor);
            // Each is lowered by as much as time went back, or by less.
            let mut lowered = shown.iter().zip(&now_shown).map(|(then, now)| then.since(*now));
            let is_bounded = |lowered| lowered <= by.unwrap_or_default();
            prop_assert!(log.time.forgotten_ms > 0 || lowered.all(is_bounded));
            for step in &log.time.steps {
                let at = [step.before, step.after].map(|stamp| log.time.shown(stamp));
                prop_assert!(at[0] <= at[1], "never below the stamp before the step");
            }
        }
    }
}
