use quorate_metrics::Registry;
use quorate_state::LogIndex;

use super::*;
use crate::adapters::LastEntryTimes;

fn metrics() -> RaftMetrics {
    RaftMetrics::register(&Registry::new()).unwrap()
}

#[test]
fn the_stages_of_an_attempt_follow_each_other() {
    let metrics = metrics();
    let times = LastEntryTimes::default();
    let mut attempt = AttemptTimes::start();
    times.set_appended(7..=7);
    times.set(7..=7, |times| &mut times.synced);
    times.set(7..=7, |times| &mut times.committed);
    times.set(7..=7, |times| &mut times.applied);
    let entry = times.get(LogIndex(7)).unwrap();
    let applied = entry.applied.unwrap();

    let own = attempt.stages(Some(entry), &metrics);
    let sum = own.append.unwrap() + own.quorum.unwrap() + own.apply.unwrap();
    assert_eq!(sum, applied - attempt.started);
    assert!(own.forward.is_none() && own.sync.unwrap() <= own.quorum.unwrap());

    attempt.forwarded = Some(entry.appended);
    let forwarded = attempt.stages(Some(entry), &metrics);
    let sum = forwarded.forward.unwrap() + forwarded.apply.unwrap();
    assert_eq!(sum, applied - attempt.started);
    assert!(forwarded.append.is_none() && forwarded.quorum.is_none());

    let counts = [Append, Quorum, Apply, Forward, Queue];
    let counts = counts.map(|stage| {
        metrics
            .put_stage_duration_seconds
            .of(stage)
            .get_sample_count()
    });
    assert_eq!(counts, [1, 1, 2, 1, 0]);
}

#[test]
fn one_slow_put_in_a_second_is_logged_and_the_others_are_counted() {
    let slow = SlowPuts::new(Duration::from_millis(1), metrics());
    let start = Instant::now();
    assert_eq!(slow.next_line(start), Some(0));
    assert_eq!(slow.next_line(start), None);
    assert_eq!(slow.next_line(start + LOG_INTERVAL / 2), None);
    assert_eq!(slow.next_line(start + LOG_INTERVAL), Some(2));
    assert_eq!(slow.next_line(start + LOG_INTERVAL * 2), Some(0));
}
