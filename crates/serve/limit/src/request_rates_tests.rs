use std::net::{Ipv4Addr, Ipv6Addr};

use governor::clock::FakeRelativeClock;
use quorate_metrics::Registry;

use super::*;

#[path = "request_rates_simulation.rs"]
mod simulation;

#[path = "request_rates_properties.rs"]
mod properties;

struct Rates {
    rates: RequestRates<FakeRelativeClock>,
    clock: FakeRelativeClock,
    metrics: LimitMetrics,
}

impl Rates {
    fn new(config: &LimitConfig) -> Self {
        let clock = FakeRelativeClock::default();
        let metrics = LimitMetrics::register(&Registry::new()).unwrap();
        let rates = RequestRates::new(config, &metrics, &clock);
        Self {
            rates,
            clock,
            metrics,
        }
    }

    fn wait(&self, time: Duration) {
        self.clock.advance(time);
    }

    /// All checks of a PUT.
    fn put(&self, client: impl Into<IpAddr>, change: PutEffect<'_>) -> Result<(), LimitExceeded> {
        let client = client.into();
        self.rates.check_put(client, change)?;
        self.rates.check_change(client, change)
    }

    /// How many of `count` PUTs pass.
    fn puts(&self, client: impl Into<IpAddr>, change: PutEffect<'_>, count: usize) -> usize {
        let client = client.into();
        (0..count)
            .filter(|_| self.put(client, change).is_ok())
            .count()
    }

    /// How many of `count` GETs pass.
    fn gets(&self, client: impl Into<IpAddr>, count: usize) -> usize {
        let client = client.into();
        (0..count)
            .filter(|_| self.rates.check_get(client).is_ok())
            .count()
    }

    fn rejected(&self, limit: Limit) -> u64 {
        self.metrics.refused_total.of(limit).get()
    }
}

/// A client may send a burst of two requests, and then one per second.
fn tight() -> LimitConfig {
    LimitConfig {
        put_burst: 2,
        put_per_sec: 1,
        get_burst: 2,
        get_per_sec: 1,
        ..LimitConfig::default()
    }
}

fn v4(address: &str) -> Ipv4Addr {
    address.parse().unwrap()
}

fn v6(address: &str) -> Ipv6Addr {
    address.parse().unwrap()
}

/// `count` addresses, beginning with `first`.
fn from_v4(first: &str, count: u32) -> impl Iterator<Item = Ipv4Addr> {
    let first = v4(first).to_bits();
    (first..first + count).map(Ipv4Addr::from_bits)
}

/// The first addresses of `count` networks with this prefix length, beginning with `first`.
fn networks_v6(first: &str, prefix_len: u32, count: u128) -> impl Iterator<Item = Ipv6Addr> {
    let first = v6(first).to_bits();
    (0..count).map(move |number| Ipv6Addr::from_bits(first + (number << (128 - prefix_len))))
}

/// `count` different addresses all over IPv4.
fn scattered(count: u32) -> impl Iterator<Item = Ipv4Addr> {
    (0..count).map(|number| Ipv4Addr::from_bits(number.wrapping_mul(2_654_435_769)))
}

fn key(number: u32) -> [u8; 32] {
    let mut key = [0; 32];
    key[..4].copy_from_slice(&number.to_le_bytes());
    key
}

/// A PUT of a key that published a moment ago.
fn busy(key: &[u8; 32]) -> PutEffect<'_> {
    let age = Duration::ZERO;
    PutEffect::Key { key, age }
}

/// A PUT of a key that published nothing for some minutes.
fn idle(key: &[u8; 32]) -> PutEffect<'_> {
    let age = IDLE_AGE;
    PutEffect::Key { key, age }
}

/// How many of these idle keys publish.
fn idle_puts(rates: &Rates, client: Ipv4Addr, keys: std::ops::Range<u32>) -> usize {
    let puts = keys.map(|number| rates.puts(client, idle(&key(number)), 1));
    puts.sum()
}

#[test]
fn a_client_gets_its_burst_and_then_its_rate() {
    let rates = Rates::new(&tight());
    let busy = v4("192.0.2.1");
    assert_eq!(rates.puts(busy, PutEffect::Unchanged, 10), 2);
    assert_eq!(rates.gets(busy, 10), 2, "GETs have buckets of their own");
    for _ in 0..10 {
        rates.wait(Duration::from_secs(1));
        assert_eq!(rates.puts(busy, PutEffect::Unchanged, 10), 1);
        assert_eq!(rates.gets(busy, 10), 1);
    }
    assert_eq!(rates.puts(v4("192.0.2.2"), PutEffect::Unchanged, 10), 2);
    assert_eq!(rates.rejected(Limit::ClientPuts), 8 + 10 * 9 + 8);
    assert_eq!(rates.rejected(Limit::ClientGets), 8 + 10 * 9);
}

#[test]
fn a_client_is_an_ipv4_address_or_an_ipv6_64() {
    let rates = Rates::new(&tight());
    assert_eq!(rates.gets(v4("192.0.2.1"), 1), 1);
    assert_eq!(rates.gets(v6("::ffff:192.0.2.1"), 2), 1);
    assert_eq!(rates.gets(v6("2001:db8::1"), 1), 1);
    assert_eq!(rates.gets(v6("2001:db8::ffff:0:0:1"), 2), 1);
    assert_eq!(rates.gets(v6("2001:db8:0:1::1"), 3), 2);
}

#[test]
fn networks_get_their_multiple_of_one_client() {
    for (network, clients, expected) in [
        (
            "an IPv4 /24",
            from_v4("192.0.2.0", 256).map(IpAddr::V4).collect(),
            2 * 16,
        ),
        (
            "an IPv6 /48",
            networks_v6("2001:db8::1", 64, 256)
                .map(IpAddr::V6)
                .collect::<Vec<_>>(),
            2 * 16,
        ),
        (
            "an IPv6 /32",
            networks_v6("2001:db8::1", 48, 256)
                .map(IpAddr::V6)
                .collect(),
            2 * 64,
        ),
    ] {
        let rates = Rates::new(&tight());
        let puts = clients
            .iter()
            .map(|client| rates.puts(*client, PutEffect::Unchanged, 3));
        assert_eq!(puts.sum::<usize>(), expected, "{network}");
        let gets = clients.iter().map(|client| rates.gets(*client, 3));
        assert_eq!(gets.sum::<usize>(), expected, "{network}");
        for other in [IpAddr::V4(v4("192.0.3.0")), IpAddr::V6(v6("2001:db9::1"))] {
            assert_eq!(rates.gets(other, 3), 2, "{other} next to {network}");
        }
        assert!(rates.rejected(Limit::NetworkPuts) > 0);
        assert!(rates.rejected(Limit::NetworkGets) > 0);
    }
}

#[test]
fn a_rejected_request_takes_nothing_from_shared_limits() {
    let config = LimitConfig {
        total_get_burst: 100,
        total_get_per_sec: 1,
        ..tight()
    };
    let rates = Rates::new(&config);
    assert_eq!(rates.gets(v4("192.0.2.0"), 10_000), 2);
    let neighbours = from_v4("192.0.2.1", 255).map(|client| rates.gets(client, 3));
    assert_eq!(neighbours.sum::<usize>(), 30, "what is left of the /24");
    let strangers = scattered(1_000).map(|client| rates.gets(client, 1));
    assert_eq!(strangers.sum::<usize>(), 68, "what is left of everybody's");
    assert_eq!(rates.rejected(Limit::TotalGets), 1_000 - 68);
}

#[test]
fn an_exhausted_network_limit_takes_nothing_from_the_client() {
    let rates = Rates::new(&tight());
    for other in from_v4("192.0.2.1", 16) {
        assert_eq!(rates.gets(other, 2), 2);
    }
    let client = v4("192.0.2.0");
    let error = rates.rates.check_get(client.into()).unwrap_err();
    assert_eq!(error.limit, Limit::NetworkGets);
    assert_eq!(rates.gets(client, 100), 0);
    rates.wait(Duration::from_millis(125));
    assert_eq!(rates.gets(client, 100), 2, "its own bucket is still full");
}

#[test]
fn new_keys_and_refreshes_have_separate_limits() {
    let config = LimitConfig {
        new_key_burst: 3,
        new_key_per_hour: 3_600,
        total_new_key_burst: 20,
        total_new_key_per_sec: 1,
        ..LimitConfig::default()
    };
    let rates = Rates::new(&config);
    let client = v4("192.0.2.1");
    assert_eq!(rates.puts(client, PutEffect::NewKey, 10), 3);
    assert_eq!(rates.rejected(Limit::ClientNewKeys), 7);
    let network = from_v4("192.0.2.2", 200).map(|client| rates.puts(client, PutEffect::NewKey, 4));
    assert_eq!(network.sum::<usize>(), 9, "4 times as many in the /24");
    let strangers = scattered(100).map(|client| rates.puts(client, PutEffect::NewKey, 1));
    assert_eq!(strangers.sum::<usize>(), 8, "what is left of everybody's");
    assert!(rates.rejected(Limit::NetworkNewKeys) > 0);
    assert_eq!(rates.rejected(Limit::TotalNewKeys), 92);
    assert_eq!(rates.puts(client, busy(&key(1)), 10), 10);
}

#[test]
fn each_key_has_its_own_limit_for_all_clients() {
    let config = LimitConfig {
        key_put_burst: 5,
        key_put_per_min: 60,
        ..LimitConfig::default()
    };
    let rates = Rates::new(&config);
    let puts = scattered(100).map(|client| rates.puts(client, busy(&key(1)), 1));
    assert_eq!(puts.sum::<usize>(), 5);
    assert_eq!(rates.rejected(Limit::KeyPuts), 95);
    assert_eq!(rates.puts(v4("192.0.2.1"), busy(&key(2)), 10), 5);
    let others = rates.puts(v4("192.0.2.1"), PutEffect::Unchanged, 10);
    assert_eq!(
        others, 10,
        "a PUT without a change takes no token of the key"
    );
    rates.wait(Duration::from_secs(1));
    assert_eq!(rates.puts(v4("192.0.2.1"), busy(&key(1)), 10), 1);
}

/// A rejected change costs its client the PUT, and costs others nothing.
#[test]
fn the_shared_limit_of_packets_is_checked_last() {
    let config = LimitConfig {
        new_key_burst: 2,
        total_put_burst: 10,
        total_put_per_sec: 1,
        ..LimitConfig::default()
    };
    let rates = Rates::new(&config);
    assert_eq!(rates.puts(v4("192.0.2.1"), PutEffect::NewKey, 1_000), 2);
    let client = v4("198.51.100.1");
    assert_eq!(idle_puts(&rates, client, 1..101), 8);
    assert_eq!(rates.rejected(Limit::TotalPuts), 92);
    assert_eq!(rates.rejected(Limit::KeyPuts), 0, "it gave its token back");
    assert!(
        rates
            .rates
            .check_put(client.into(), PutEffect::Unchanged)
            .is_ok()
    );
}

#[test]
fn keys_that_are_not_idle_and_puts_that_change_nothing_have_a_share_of_the_shared_limit() {
    let rates = Rates::new(&LimitConfig {
        total_put_burst: 100,
        total_put_per_sec: 10,
        ..LimitConfig::default()
    });
    let client = v4("192.0.2.1");
    assert_eq!(rates.puts(client, PutEffect::NewKey, 20), 20);
    assert_eq!(rates.puts(client, busy(&key(1)), 50), 30, "50 together");
    assert_eq!(rates.rejected(Limit::TotalBusyPuts), 20);
    assert_eq!(rates.puts(client, PutEffect::Unchanged, 50), 10);
    assert_eq!(rates.rejected(Limit::TotalUnchangedPuts), 40);
    assert_eq!(idle_puts(&rates, client, 100..150), 40);
    assert_eq!(rates.rejected(Limit::TotalPuts), 10);
    rates.wait(Duration::from_secs(1));
    assert_eq!(rates.puts(client, busy(&key(3)), 50), 5);
    assert_eq!(rates.puts(client, PutEffect::Unchanged, 50), 1);
    assert_eq!(idle_puts(&rates, client, 200..250), 4);
}

/// They all find the same old packet, because none is stored yet.
#[test]
fn many_packets_of_an_idle_key_at_the_same_time_do_not_all_count_as_idle() {
    let rates = Rates::new(&LimitConfig {
        total_put_burst: 20,
        total_put_per_sec: 1,
        ..LimitConfig::default()
    });
    let client = v4("192.0.2.1");
    assert_eq!(rates.puts(client, busy(&key(1)), 20), 10);
    assert_eq!(rates.puts(client, idle(&key(2)), 20), 3);
    assert_eq!(rates.rejected(Limit::TotalBusyPuts), 10 + 17);
    assert_eq!(idle_puts(&rates, client, 100..110), 7, "the rest");
    rates.wait(IDLE_AGE);
    assert_eq!(rates.puts(client, busy(&key(1)), 20), 10);
    assert_eq!(rates.puts(client, idle(&key(2)), 20), 1);
}

#[test]
fn retry_after_covers_the_longest_limit() {
    let config = LimitConfig {
        new_key_burst: 2,
        new_key_per_hour: 60,
        ..tight()
    };
    let rates = Rates::new(&config);
    let client = v4("192.0.2.1");
    assert_eq!(rates.puts(client, PutEffect::NewKey, 2), 2);
    let error = rates.put(client, PutEffect::NewKey).unwrap_err();
    assert_eq!(error.limit, Limit::ClientPuts);
    assert_eq!(error.retry_after_secs, 60);
    assert!(error.to_string().contains("wait 60 s"), "{error}");
    let error = rates.put(client, busy(&key(1))).unwrap_err();
    assert_eq!(error.retry_after_secs, 1, "it brings no new key");
}

#[test]
fn two_thousand_endpoints_behind_one_address_restart_and_continue() {
    let rates = Rates::new(&LimitConfig::default());
    let address = v4("192.0.2.1");
    assert_eq!(
        rates.puts(address, PutEffect::NewKey, 6_000),
        6_000,
        "all new"
    );
    assert_eq!(rates.gets(address, 20_000), 20_000, "ten others each");
    rates.wait(Duration::from_secs(300));
    for _ in 0..3 {
        // Spread over 300 s, like endpoints that started at different times.
        for endpoint in 0..2_000 {
            rates.wait(Duration::from_millis(150));
            assert_eq!(rates.put(address, idle(&key(endpoint))), Ok(()));
        }
    }
    rates.wait(Duration::from_secs(1));
    for endpoint in 0..2_000 {
        let puts = rates.puts(address, busy(&key(endpoint)), 3);
        assert_eq!(puts, 3, "endpoint {endpoint} as all restart again");
    }
    assert_eq!(rates.gets(address, 20_000), 20_000);
}

#[test]
fn no_client_or_network_can_take_the_capacity() {
    let defaults = LimitConfig::default();
    // A hundredth of the limits, for networks: their limits are multiples of these.
    let hundredth = LimitConfig {
        new_key_burst: defaults.new_key_burst / 100,
        new_key_per_hour: defaults.new_key_per_hour / 100,
        ..LimitConfig::default()
    };
    for (config, clients, most) in [
        (&defaults, networks_v6("2001:db8::1", 64, 1), 110_000),
        (&hundredth, networks_v6("2001:db8::1", 64, 100), 4 * 1_100),
        (&hundredth, networks_v6("2001:db8::1", 48, 100), 8 * 1_100),
    ] {
        let rates = Rates::new(config);
        let clients: Vec<_> = clients.collect();
        let mut stored = 0;
        // As many as the limits admit, every six hours for seven days.
        for _ in 0..28 {
            for client in &clients {
                while rates.put(*client, PutEffect::NewKey).is_ok() {
                    stored += 1;
                }
            }
            rates.wait(Duration::from_secs(6 * 3_600));
        }
        assert!(
            (most * 9 / 10..most).contains(&stored),
            "{} clients: {stored}",
            clients.len()
        );
    }
}

#[test]
fn a_flood_of_a_million_addresses_takes_no_memory_and_hurts_no_known_client() {
    let rates = Rates::new(&LimitConfig::default());
    let sizes = rates.rates.sizes();
    let known: Vec<_> = from_v4("198.51.100.0", 50).collect();
    for client in &known {
        assert_eq!(rates.puts(*client, PutEffect::Unchanged, 10), 10);
    }
    let busy = v4("203.0.113.1");
    assert_eq!(rates.puts(busy, PutEffect::Unchanged, 7_000), 6_000);
    let (mut rejected_of_flood, mut admitted_of_busy) = (0, 0);
    for (number, address) in scattered(1_000_000).enumerate() {
        let put = rates.rates.check_put(address.into(), PutEffect::NewKey);
        rejected_of_flood += usize::from(put.is_err());
        rates.wait(Duration::from_micros(1));
        if number % 1_000 == 0 {
            let client = known[number / 1_000 % known.len()];
            let known_key = key(number as u32 / 1_000);
            let put = rates.put(client, idle(&known_key));
            assert_eq!(put, Ok(()), "{client} after {number}");
            admitted_of_busy += rates.puts(busy, PutEffect::Unchanged, 1);
        }
    }
    assert_eq!(rejected_of_flood, 0, "each sent one request");
    // One second of its rate: the last token may be a microsecond away.
    assert!(
        (19..=20).contains(&admitted_of_busy),
        "a busy client is not forgotten: {admitted_of_busy}"
    );
    assert_eq!(rates.rates.sizes(), sizes);
    let size: usize = sizes.iter().map(|(_, size)| size).sum();
    assert!(size < 15_000_000, "{size}");
    for (table, size) in sizes {
        assert_eq!(rates.metrics.memory_bytes.of(table).get(), size as i64);
    }
}

#[test]
fn threads_that_race_get_the_burst_and_no_more() {
    let config = LimitConfig {
        get_burst: 1_000,
        get_per_sec: 1,
        ..LimitConfig::default()
    };
    let rates = Rates::new(&config);
    let admitted: usize = std::thread::scope(|scope| {
        let gets = || rates.gets(v4("192.0.2.1"), 1_000);
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(gets)).collect();
        let threads = threads.into_iter();
        threads.map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(admitted, 1_000);
}

#[test]
fn only_a_limited_number_of_linearizable_reads_waits() {
    let config = LimitConfig {
        linearizable_read_count_max: 2,
        ..LimitConfig::default()
    };
    let rates = Rates::new(&config);
    let admit = || rates.rates.admit_linearizable();
    let (first, _second) = (admit().unwrap(), admit().unwrap());
    let error = admit().unwrap_err();
    assert_eq!(error.limit, Limit::LinearizableReads);
    assert_eq!(error.retry_after_secs, 1);
    drop(first);
    let _third = admit().unwrap();
    assert!(admit().is_err());
}

/// How many of `count` queries pass.
fn queries(rates: &Rates, client: impl Into<IpAddr>, count: usize) -> usize {
    let client = client.into();
    (0..count)
        .filter(|_| rates.rates.check_query(client).is_ok())
        .count()
}

#[test]
fn queries_over_https_are_rejected_and_others_wait() {
    let rates = Rates::new(&LimitConfig {
        query_burst: 100,
        query_per_sec: 10,
        ..LimitConfig::default()
    });
    let client = v4("192.0.2.1");
    assert_eq!(rates.rates.charge_query(client.into()), Duration::ZERO);
    assert_eq!(queries(&rates, client, 200), 100, "one more than the burst");
    let wait = rates.rates.charge_query(client.into());
    assert_eq!(wait, Duration::from_millis(200), "and it is answered");
    assert_eq!(queries(&rates, client, 200), 0);
    assert_eq!(rates.rejected(Limit::Queries), 300);
    let error = rates.rates.check_query(client.into()).unwrap_err();
    assert_eq!(error.retry_after_secs, 1);
    assert!(!error.limit.is_shared());
    rates.wait(Duration::from_secs(1));
    assert_eq!(
        queries(&rates, client, 200),
        9,
        "rejected ones cost nothing"
    );
    assert_eq!(queries(&rates, v4("192.0.2.2"), 200), 101);
}

#[test]
fn networks_have_a_rate_of_queries_too() {
    let rates = Rates::new(&LimitConfig {
        query_burst: 100,
        query_per_sec: 1,
        ..LimitConfig::default()
    });
    let all = from_v4("192.0.2.0", 256).map(|client| queries(&rates, client, 100));
    assert_eq!(all.sum::<usize>(), 1_601, "16 times as many");
    assert!(!rates.rates.charge_query(v4("192.0.2.200").into()).is_zero());
    let all = networks_v6("2001:db8::", 48, 256).map(|client| queries(&rates, client, 100));
    assert_eq!(all.sum::<usize>(), 6_401, "64 times as many");
}

#[test]
fn this_machine_and_exempt_networks_may_send_any_number_of_queries() {
    let rates = Rates::new(&LimitConfig {
        query_burst: 1,
        query_per_sec: 1,
        dns_exempt_networks: Networks::parse(["192.0.2.0/24"]).unwrap(),
        ..LimitConfig::default()
    });
    for exempt in [IpAddr::V4(Ipv4Addr::LOCALHOST), v4("192.0.2.1").into()] {
        assert_eq!(queries(&rates, exempt, 100), 100);
        assert_eq!(rates.rates.charge_query(exempt), Duration::ZERO);
    }
    assert_eq!(queries(&rates, v4("198.51.100.1"), 100), 2);
}

#[test]
fn the_extremes_of_settings_work() {
    for (burst, new_key_burst, rate) in [
        (1, 1, 1),
        (1, 1, 1_000_000),
        (10_000_000, 1_000_000, 1),
        (10_000_000, 1_000_000, 1_000_000),
    ] {
        let config = LimitConfig {
            put_burst: burst,
            put_per_sec: rate,
            new_key_burst,
            new_key_per_hour: rate,
            key_put_burst: burst,
            key_put_per_min: rate,
            total_put_burst: burst,
            total_put_per_sec: rate,
            total_new_key_burst: burst,
            total_new_key_per_sec: rate,
            get_burst: burst,
            get_per_sec: rate,
            total_get_burst: burst,
            total_get_per_sec: rate,
            client_count_max: 1_000,
            ..LimitConfig::default()
        };
        let rates = Rates::new(&config);
        let client = v6("2001:db8::1");
        let expected = 100.min(burst as usize);
        assert_eq!(rates.gets(client, 100), expected);
        assert_eq!(rates.puts(client, PutEffect::NewKey, 100), expected);
        rates.wait(Duration::from_secs(3_600));
        assert_eq!(rates.puts(client, PutEffect::NewKey, 1), 1);
        rates.wait(Duration::from_secs(3_600));
        assert_eq!(rates.puts(client, busy(&key(1)), 1), 1);
    }
}
