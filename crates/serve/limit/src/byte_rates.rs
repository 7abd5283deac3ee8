//! How many bytes a second a client may move.

use std::{
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwapOption;
use governor::clock::{Clock, MonotonicClock};

use crate::{
    LimitConfig, LimitMetrics, TableLabel,
    client_rates::client_hash,
    rate::{Allowance, Rate},
};

/// How many bytes a second each client may move over all its connections, shared by who asks and
/// who changes it. By default there is no limit.
#[derive(Clone, Default)]
pub struct ByteRates(Arc<ArcSwapOption<Rates<MonotonicClock>>>);

struct Rates<C: Clock> {
    clients: Rate<C>,
    /// The key of the hash.
    seed: u64,
}

/// How long a client waits at most for what it moved: less than a TLS handshake may take, since all
/// who share its address wait as long when they connect, and nobody shall be cut off for what others
/// moved.
const DEBT_MAX: Duration = Duration::from_secs(3);

impl ByteRates {
    /// What `config` asks for, if it does.
    pub fn new(config: &LimitConfig, metrics: &LimitMetrics) -> Self {
        let rates = Self::default();
        rates.replace(config, metrics);
        rates
    }

    /// Has what `config` asks for hold from now on. It knows no client yet.
    pub fn replace(&self, config: &LimitConfig, metrics: &LimitMetrics) {
        let rates = config
            .enabled
            .then(|| Rates::new(config, metrics, MonotonicClock));
        let size = rates.as_ref().map_or(0, |rates| rates.clients.size());
        metrics.set_memory(TableLabel::Bytes, size);
        self.0.store(rates.map(Arc::new));
    }

    /// Notes that the client at this address moved so many bytes, and says how long the one who
    /// moved them has to wait before the next: not at all, as long as the client's burst lasts.
    ///
    /// What is moved counts in full, whoever waits: connections of one client that each wait as they
    /// are told have its rate together. Only what would take longer than 3 s is forgiven. No bytes
    /// cost nothing, and tell how long the client has to wait by now.
    pub fn charge(&self, client: IpAddr, bytes: usize) -> Duration {
        let rates = self.0.load();
        let rates = rates.as_ref();
        rates.map_or(Duration::ZERO, |rates| rates.charge(client, bytes))
    }
}

impl<C: Clock> Rates<C> {
    fn new(config: &LimitConfig, metrics: &LimitMetrics, clock: C) -> Self {
        let allowance = Allowance::new(config.byte_burst, config.byte_per_sec, 1);
        let forgotten = metrics.forgotten_total.of(TableLabel::Bytes).clone();
        Self {
            clients: Rate::new(allowance, config.client_count_max, forgotten, clock),
            seed: RandomState::new().hash_one(()),
        }
    }

    fn charge(&self, client: IpAddr, bytes: usize) -> Duration {
        let hash = client_hash(client, self.seed);
        // No read or write is of 4 GiB.
        match u32::try_from(bytes).unwrap_or(u32::MAX) {
            0 => self.clients.peek(hash),
            count => self.clients.owe(hash, count, DEBT_MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;
    use quorate_metrics::Registry;

    use super::*;

    const KIB: usize = 1024;

    fn rates(byte_burst: u32, byte_per_sec: u32) -> (Rates<FakeRelativeClock>, FakeRelativeClock) {
        let config = LimitConfig {
            byte_burst,
            byte_per_sec,
            ..LimitConfig::default()
        };
        let clock = FakeRelativeClock::default();
        let metrics = LimitMetrics::register(&Registry::new()).unwrap();
        (Rates::new(&config, &metrics, clock.clone()), clock)
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn who_waits_as_told_moves_the_burst_and_then_the_rate() {
        let (rates, clock) = rates(64 * KIB as u32, 1_000_000);
        let (client, mut waited, mut moved) = (address("192.0.2.1"), Duration::ZERO, 0);
        while waited < Duration::from_secs(10) {
            let wait = rates.charge(client, 16 * KIB);
            moved += 16 * KIB;
            clock.advance(wait);
            waited += wait;
        }
        assert!(moved.abs_diff(10_000_000 + 64 * KIB) <= 16 * KIB, "{moved}");
    }

    #[test]
    fn connections_of_one_client_share_its_rate_and_others_have_their_own() {
        let (rates, _) = rates(64 * KIB as u32, 1_000_000);
        for connection in 0..4 {
            let client = address(&format!("2001:db8::{connection}"));
            assert_eq!(rates.charge(client, 16 * KIB), Duration::ZERO);
        }
        let first = rates.charge(address("2001:db8::1"), 1_000);
        let second = rates.charge(address("2001:db8::2"), 1_000);
        assert_eq!(first, Duration::from_millis(1));
        assert_eq!(second, Duration::from_millis(2));
        let other = rates.charge(address("2001:db8:0:1::"), 16 * KIB);
        assert_eq!(other, Duration::ZERO);
    }

    #[test]
    fn more_than_the_burst_at_once_takes_its_time() {
        let (rates, _) = rates(64 * KIB as u32, 1_000_000);
        let wait = rates.charge(address("192.0.2.1"), 64 * KIB + 2_000_000);
        assert_eq!(wait, Duration::from_secs(2));
        assert_eq!(rates.charge(address("192.0.2.2"), 0), Duration::ZERO);
    }

    #[test]
    fn what_a_client_owes_is_told_without_a_charge() {
        let (rates, clock) = rates(64 * KIB as u32, 1_000_000);
        let client = address("192.0.2.1");
        rates.charge(client, 64 * KIB + 2_000_000);
        let owed_millis = || rates.charge(client, 0).as_millis();
        assert_eq!(owed_millis(), 2_000);
        assert_eq!(owed_millis(), 2_000, "to ask costs nothing");
        clock.advance(Duration::from_millis(1_500));
        assert_eq!(owed_millis(), 500);
        clock.advance(Duration::from_millis(501));
        assert_eq!(owed_millis(), 0);
    }

    #[test]
    fn nobody_owes_more_than_a_few_seconds() {
        let (rates, clock) = rates(64 * KIB as u32, 1_000_000);
        let client = address("192.0.2.1");
        assert_eq!(rates.charge(client, 100_000_000), DEBT_MAX);
        assert_eq!(rates.charge(client, 1), DEBT_MAX);
        clock.advance(DEBT_MAX + Duration::from_millis(1));
        assert_eq!(rates.charge(client, 0), Duration::ZERO);
        assert!(
            rates.charge(client, 64 * KIB) > Duration::ZERO,
            "the burst is not back"
        );
    }

    #[test]
    fn without_limits_nobody_waits() {
        let metrics = LimitMetrics::register(&Registry::new()).unwrap();
        let limited = LimitConfig {
            byte_burst: 64 * KIB as u32,
            byte_per_sec: 64 * KIB as u32,
            ..LimitConfig::default()
        };
        let rates = ByteRates::new(&limited, &metrics);
        let client = address("192.0.2.1");
        assert!(rates.charge(client, 128 * KIB) > Duration::ZERO);
        assert!(metrics.memory_bytes.of(TableLabel::Bytes).get() > 0);
        let unlimited = LimitConfig {
            enabled: false,
            ..limited
        };
        rates.clone().replace(&unlimited, &metrics);
        assert_eq!(rates.charge(client, 128 * KIB), Duration::ZERO);
        assert_eq!(metrics.memory_bytes.of(TableLabel::Bytes).get(), 0);
    }
}
