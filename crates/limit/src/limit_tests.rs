use std::net::{Ipv4Addr, Ipv6Addr};

use governor::clock::FakeRelativeClock;

use super::*;

fn config(put_burst: u32, put_per_sec: u32, client_count_max: usize) -> Config {
    Config {
        put_burst,
        put_per_sec,
        client_count_max,
        ..Config::default()
    }
}

fn limit(config: &Config) -> (ClientLimit<FakeRelativeClock>, FakeRelativeClock) {
    let clock = FakeRelativeClock::default();
    (ClientLimit::with_clock(config, clock.clone()), clock)
}

fn v4(number: u32) -> IpAddr {
    Ipv4Addr::from_bits(number).into()
}

/// How many of `count` requests pass.
fn passed(limit: &ClientLimit<FakeRelativeClock>, address: IpAddr, count: usize) -> usize {
    (0..count).filter(|_| limit.check(address).is_ok()).count()
}

#[test]
fn a_client_gets_its_burst_and_then_its_rate() {
    let (limit, clock) = limit(&config(5, 2, 10));
    assert_eq!(passed(&limit, v4(1), 10), 5);
    clock.advance(Duration::from_secs(1));
    assert_eq!(passed(&limit, v4(1), 10), 2);
    assert_eq!(
        passed(&limit, v4(2), 10),
        5,
        "another client has its own bucket"
    );
}

#[test]
fn the_wait_is_in_whole_seconds_and_never_zero() {
    let (fast, _) = limit(&config(1, 1_000, 10));
    assert_eq!(fast.check(v4(1)), Ok(()));
    assert_eq!(fast.check(v4(1)).unwrap_err().as_secs(), 1);
    for (wait_ms, secs) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (59_999, 60)] {
        let wait = Duration::from_millis(wait_ms);
        assert_eq!(RetryAfter::from_wait(wait).as_secs(), secs, "{wait:?}");
    }
}

#[test]
fn a_client_that_waits_as_told_passes() {
    let (limit, clock) = limit(&config(3, 1, 10));
    assert_eq!(passed(&limit, v4(1), 4), 3);
    let wait = limit.check(v4(1)).unwrap_err();
    clock.advance(Duration::from_secs(wait.as_secs()));
    assert_eq!(limit.check(v4(1)), Ok(()));
}

#[test]
fn two_thousand_endpoints_restart_and_go_on_behind_one_address() {
    let (limit, clock) = limit(&Config::default());
    assert_eq!(
        passed(&limit, v4(1), 6_000),
        6_000,
        "three publishes of each"
    );
    for _ in 0..3 {
        // Spread over 300 s, as endpoints that started at their own times are.
        for _ in 0..2_000 {
            clock.advance(Duration::from_millis(150));
            assert_eq!(limit.check(v4(1)), Ok(()));
        }
    }
    clock.advance(Duration::from_secs(1));
    assert_eq!(
        passed(&limit, v4(1), 6_000),
        6_000,
        "and they can restart again"
    );
}

#[test]
fn a_flood_of_addresses_stays_within_the_cap() {
    const CAP: usize = 1_000;
    let (limit, clock) = limit(&config(10, 1, CAP));
    for number in 0..20 * CAP as u32 {
        let _ = limit.check(v4(number));
        let prefix = u128::from(number) << 64;
        let _ = limit.check(Ipv6Addr::from_bits(0x2001 << 112 | prefix).into());
        clock.advance(Duration::from_micros(100));
        assert!(limit.client_count() <= CAP);
    }
}

#[test]
fn newcomers_share_one_bucket_when_no_client_is_idle() {
    let (limit, _) = limit(&config(10, 1, 3));
    for number in 0..3 {
        assert_eq!(passed(&limit, v4(number), 9), 9);
    }
    let newcomers = (100..200).filter(|number| limit.check(v4(*number)).is_ok());
    assert_eq!(newcomers.count(), 10);
    for number in 0..3 {
        assert_eq!(
            limit.check(v4(number)),
            Ok(()),
            "a known client keeps its bucket"
        );
    }
}

#[test]
fn idle_clients_make_room_and_busy_ones_stay() {
    let (limit, clock) = limit(&config(10, 1, 3));
    assert_eq!(passed(&limit, v4(0), 10), 10);
    assert_eq!(passed(&limit, v4(1), 1), 1);
    assert_eq!(passed(&limit, v4(2), 1), 1);
    clock.advance(Duration::from_secs(3));
    assert_eq!(passed(&limit, v4(3), 20), 10, "it found room");
    assert_eq!(limit.client_count(), 2);
    assert_eq!(passed(&limit, v4(0), 10), 3, "what it used is remembered");
}
