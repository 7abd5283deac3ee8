use std::{
    collections::HashMap,
    net::{Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use super::*;

/// Fixed here, so that the tests are reproducible.
const SEED: u64 = 1;

struct Rates {
    rates: ResponseRates,
    now: Instant,
}

impl Rates {
    fn new(dns_answer_burst: u32, dns_answer_per_sec: u32) -> Self {
        let config = LimitConfig {
            dns_answer_burst,
            dns_answer_per_sec,
            ..LimitConfig::default()
        };
        let rates = ResponseRates::with_seed(&config, SEED);
        let now = rates.started;
        Self { rates, now }
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
    }

    fn admits(&self, address: impl Into<IpAddr>) -> bool {
        self.rates.admits(address.into(), self.now)
    }

    /// How many of `count` answers to the address are admitted now.
    fn admitted(&self, address: impl Into<IpAddr>, count: usize) -> usize {
        let address = address.into();
        (0..count).filter(|_| self.admits(address)).count()
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

/// `count` different addresses all over IPv4.
fn scattered(count: u32) -> impl Iterator<Item = Ipv4Addr> {
    (0..count).map(|number| Ipv4Addr::from_bits(number.wrapping_mul(2_654_435_769)))
}

#[test]
fn an_address_gets_its_burst_and_then_its_rate() {
    let mut rates = Rates::new(1_000, 200);
    let busy = v4("192.0.2.1");
    assert_eq!(rates.admitted(busy, 2_000), 1_000);
    for _ in 0..10 {
        rates.wait(Duration::from_secs(1));
        assert_eq!(rates.admitted(busy, 2_000), 200);
    }
}

#[test]
fn a_busy_address_recovers_when_it_is_left_alone() {
    let mut rates = Rates::new(1_000, 200);
    let busy = v6("2001:db8::1");
    assert_eq!(rates.admitted(busy, 1_001), 1_000);
    rates.wait(Duration::from_millis(5));
    assert_eq!(rates.admitted(busy, 10), 1, "one more every 5 ms");
    rates.wait(Duration::from_secs(5));
    assert_eq!(rates.admitted(busy, 2_000), 1_000, "all after 5 s");
}

#[test]
fn a_rejected_answer_counts_for_no_address() {
    let mut rates = Rates::new(10, 2);
    let busy = v4("192.0.2.1");
    assert_eq!(rates.admitted(busy, 100_000), 10);
    rates.wait(Duration::from_millis(500));
    assert_eq!(rates.admitted(busy, 1_000), 1);
    // 31 neighbours still get everything that the limit of 32 addresses allows.
    for neighbour in from_v4("192.0.2.2", 31) {
        assert_eq!(rates.admitted(neighbour, 20), 10, "{neighbour}");
    }
}

#[test]
fn each_ipv4_network_gets_its_multiple_of_one_address() {
    let rates = Rates::new(10, 2);
    for (first, count, multiple, network) in [
        ("10.1.0.0", 256, 32, "/24"),
        ("10.1.1.0", 256, 32, "the next /24"),
        ("10.1.2.0", 14 * 256, 256 - 2 * 32, "the rest of the /20"),
        ("10.1.16.0", 3 * 16 * 256, 768 - 256, "the rest of the /18"),
        ("10.1.64.0", 1, 1, "an address of the next /18"),
    ] {
        let addresses = from_v4(first, count);
        let admitted: usize = addresses.map(|address| rates.admitted(address, 11)).sum();
        let limit = multiple * 10;
        // Two networks of an address can share a counter at first, so that one answer counts for
        // both.
        assert!(
            admitted.abs_diff(limit) <= limit / 100,
            "{network}: {admitted}, not {limit}"
        );
    }
}

#[test]
fn each_ipv6_network_gets_its_multiple_of_one_address() {
    let rates = Rates::new(10, 2);
    for (address, left) in [
        ("2001:db8::1", 10),
        ("2001:db8::2", 10),
        ("2001:db8::3", 0),
        ("2001:db8:0:1::1", 10),
        ("2001:db8:0:2::1", 0),
        ("2001:db8:0:100::1", 10),
        ("2001:db8:0:200::1", 0),
        ("2001:db8:1::1", 10),
    ] {
        assert_eq!(rates.admitted(v6(address), 11), left, "{address}");
    }
    let others: usize = (2..100)
        .map(|number: u128| v6("2001:db8::1").to_bits() + (number << 80))
        .map(|bits| rates.admitted(Ipv6Addr::from_bits(bits), 11))
        .sum();
    assert_eq!(others, (64 - 5) * 10, "/32");
    assert_eq!(rates.admitted(v6("2001:db9::1"), 11), 10, "the next /32");
}

#[test]
fn a_mapped_address_is_the_ipv4_address() {
    let rates = Rates::new(10, 2);
    assert_eq!(rates.admitted(v6("::ffff:192.0.2.1"), 6), 6);
    assert_eq!(rates.admitted(v4("192.0.2.1"), 6), 4);
    assert_eq!(rates.admitted(v6("::ffff:192.0.2.1"), 1), 0);
}

/// Like the resolvers of a large provider: 20 addresses of one /24, each with 300 queries per
/// second.
#[test]
fn a_farm_of_resolvers_gets_what_its_addresses_may_have() {
    let mut rates = Rates::new(1_000, 200);
    let mut admitted = 0;
    for _ in 0..10 {
        for resolver in from_v4("192.0.2.10", 20) {
            admitted += rates.admitted(resolver, 300);
        }
        rates.wait(Duration::from_secs(1));
    }
    assert_eq!(admitted, 20 * (1_000 + 9 * 200));
}

#[test]
fn a_flood_of_a_million_addresses_takes_no_memory_and_hurts_no_quiet_client() {
    let mut rates = Rates::new(1_000, 200);
    let quiet: Vec<_> = from_v4("198.51.100.0", 50).collect();
    let mut rejected_of_flood = 0;
    for (number, address) in scattered(1_000_000).enumerate() {
        rejected_of_flood += usize::from(!rates.admits(address));
        rates.wait(Duration::from_micros(1));
        if number % 1_000 == 0 {
            let client = quiet[number / 1_000 % quiet.len()];
            assert!(rates.admits(client), "{client} after {number}");
        }
    }
    assert_eq!(rejected_of_flood, 0, "each sent one query");
    assert_eq!(rates.rates.lines.len(), LINE_COUNT);
    assert_eq!(size_of_val(&*rates.rates.lines), 512 * 1024);
}

/// A flood makes the table forget addresses that got little, not those that got much.
#[test]
fn a_busy_address_stays_limited_in_a_flood_of_addresses() {
    let mut rates = Rates::new(1_000, 200);
    let busy = v4("198.51.100.1");
    let mut admitted = 0;
    for address in scattered(200_000) {
        rates.wait(Duration::from_micros(1));
        rates.admits(address);
        admitted += usize::from(rates.admits(busy));
    }
    // Its burst, and 200 ms of its rate: the last answer may be a microsecond away.
    assert!((1_039..=1_040).contains(&admitted), "{admitted}");
}

/// The seed is fixed here. With some seeds, a few of these clients share a counter.
#[test]
fn quiet_clients_are_served_while_thousands_of_addresses_are_limited() {
    let rates = Rates::new(10, 2);
    for busy in scattered(5_000) {
        rates.admitted(busy, 11);
        assert!(!rates.admits(busy), "{busy}");
    }
    let quiet = (0..20_000_u32).map(|number| Ipv4Addr::from_bits(!number.wrapping_mul(77_777)));
    let rejected = quiet.filter(|client| !rates.admits(*client)).count();
    assert!(rejected <= 4, "{rejected} of 20,000");
}

/// Two addresses with the same line and the same tag in the first epoch.
fn addresses_that_collide() -> (Ipv4Addr, Ipv4Addr) {
    let [.., (prefix_len, _)] = IPV4;
    let address = Network {
        prefix_len,
        price: 1,
    };
    let mut seen = HashMap::new();
    let mut pairs = scattered(200_000).filter_map(|other| {
        let hash = address.hash(other.to_ipv6_mapped().to_bits(), 0, SEED);
        let position = (hash as usize % LINE_COUNT, hash >> TIME_BITS);
        seen.insert(position, other).map(|one| (one, other))
    });
    pairs.next().expect("two of 200,000 addresses collide")
}

#[test]
fn an_address_that_shares_a_counter_with_a_busy_one_is_limited_for_one_epoch_at_most() {
    let mut rates = Rates::new(1_000, 200);
    let (busy, honest) = addresses_that_collide();
    let epoch = Duration::from_secs(5) * FILLS_PER_EPOCH as u32;
    rates.admitted(busy, 2_000);
    assert!(!rates.admits(honest), "{busy} and {honest} share a counter");
    rates.wait(epoch - Duration::from_secs(1));
    rates.admitted(busy, 2_000);
    assert!(!rates.admits(honest), "as long as the flood continues");
    rates.wait(Duration::from_secs(1));
    rates.admitted(busy, 2_000);
    assert!(!rates.admits(busy));
    assert!(rates.admits(honest), "in the next epoch they do not");
}

#[test]
fn a_new_epoch_forgives_a_twentieth_of_the_rate() {
    let mut rates = Rates::new(10, 2);
    let busy = v4("192.0.2.1");
    let mut admitted = 0;
    for _ in 0..1_000 {
        admitted += rates.admitted(busy, 20);
        rates.wait(Duration::from_secs(1));
    }
    let by_rate = 10 + 2 * 999;
    assert!(
        (by_rate..=by_rate * 21 / 20).contains(&admitted),
        "{admitted}"
    );
}

/// A counter has the time at which it is empty in 48 bits, which wrap around in 52 days.
#[test]
fn a_counter_left_alone_for_months_is_empty() {
    const TAG: u64 = 0xbeef << TIME_BITS;
    let Rates { rates, .. } = Rates::new(1_000, 200);
    let full = TAG | rates.depth;
    assert_eq!(rates.level(full, 0), rates.depth);
    assert_eq!(rates.level(full, rates.depth / 2), rates.depth / 2);
    for sixteenth in 1..=15 {
        let now = sixteenth << (TIME_BITS - 4);
        assert_eq!(
            rates.level(full, now),
            0,
            "after {sixteenth}/16 of the range"
        );
    }
    let before_wrap = TIME_MASK;
    let full = TAG | (before_wrap + rates.depth) & TIME_MASK;
    assert_eq!(rates.level(full, before_wrap), rates.depth);
    assert_eq!(rates.level(full, before_wrap + 1), rates.depth - 1);
}

/// The numbers of 0:2001:db8::/48 and 2001:db8::/32 are the same.
#[test]
fn networks_of_different_lengths_have_their_own_counters() {
    let rates = Rates::new(10, 2);
    for address in ["::1", ":100::1", ":200::1", ":300::1"] {
        let address = v6(&format!("0:2001:db8{address}"));
        assert_eq!(rates.admitted(address, 11), 10, "{address}");
    }
    assert!(!rates.admits(v6("0:2001:db8:400::1")), "the /48 is full");
    assert!(rates.admits(v6("2001:db8::1")));
}

#[test]
fn the_extremes_of_settings_work() {
    for (burst, per_sec) in [
        (1, 1),
        (1, 1_000_000),
        (1_000_000, 1),
        (1_000_000, 1_000_000),
    ] {
        let mut rates = Rates::new(burst, per_sec);
        let address = v4("192.0.2.1");
        let burst = burst as usize;
        assert_eq!(rates.admitted(address, 1_000), burst.min(1_000));
        rates.wait(Duration::from_secs(1));
        assert!(rates.admits(address), "{burst} and {per_sec} a second");
        let Rates { rates, .. } = rates;
        assert!(
            rates.depth < 1 << (TIME_BITS - 1),
            "the time wraps around much later"
        );
        let price_of_address = rates.ipv4[3].price as usize;
        let admitted = rates.depth as usize / price_of_address;
        assert!(
            (burst..=burst + burst / 100).contains(&admitted),
            "{admitted} of {burst}"
        );
    }
}

/// Threads that change one counter at the same time may admit too much, never too little.
#[test]
fn threads_that_race_admit_at_least_the_burst() {
    let rates = Rates::new(1_000, 1);
    let admitted: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| rates.admitted(v4("192.0.2.1"), 1_000)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    assert!((1_000..=4_000).contains(&admitted), "{admitted}");
    assert!(!rates.admits(v4("192.0.2.1")) || admitted > 1_000);
}
