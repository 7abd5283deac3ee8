//! Limits the bytes per second of a client and of the networks around it.

use std::{net::IpAddr, sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use governor::clock::{Clock, MonotonicClock};

use crate::{LimitConfig, LimitMetrics, TableLabel, paced_rates::PacedRates, rate::TokenRate};

/// The current limit of the bytes per second that each client, and each network around it, may
/// transfer over all its connections: HTTP, and DNS over HTTPS, TCP, TLS and QUIC. Clones share it,
/// so that a reload replaces it for all connections. The default is no limit.
#[derive(Clone, Default)]
pub struct ByteRates(Arc<ArcSwapOption<PacedRates<MonotonicClock>>>);

impl ByteRates {
    /// The limit of `config`, if it enables limits.
    pub fn new(config: &LimitConfig, metrics: &LimitMetrics) -> Self {
        let rates = Self::default();
        rates.replace(config, metrics);
        rates
    }

    /// Replaces the limit by that of `config`. All buckets start full.
    pub fn replace(&self, config: &LimitConfig, metrics: &LimitMetrics) {
        let rates = config
            .enabled
            .then(|| rates(config, metrics, &MonotonicClock));
        let size = rates.as_ref().map_or(0, PacedRates::size);
        metrics.set_memory(TableLabel::Bytes, size);
        self.0.store(rates.map(Arc::new));
    }

    /// Counts `byte_count` bytes that the client at this address sent or received. Returns how long
    /// the connection must wait before it reads more: zero as long as the bursts of the client and
    /// of the networks around it last, and 3 s at most.
    ///
    /// All bytes of a client count, whichever connection transferred them and in which direction.
    /// So if each connection waits for the returned time before it reads again, together they get
    /// the client's rate. Answers need not wait, because less reading means fewer answers. Only
    /// what would take longer than 3 s is not counted. With 0 bytes, this only returns the current
    /// waiting time: ask so when a connection begins, so that a new connection does not shorten it.
    pub fn charge(&self, client: IpAddr, byte_count: usize) -> Duration {
        let rates = self.0.load();
        let rates = rates.as_ref();
        rates.map_or(Duration::ZERO, |rates| charge(rates, client, byte_count))
    }
}

fn rates<C: Clock + Clone>(
    config: &LimitConfig,
    metrics: &LimitMetrics,
    clock: &C,
) -> PacedRates<C> {
    let rate = TokenRate::new(config.byte_burst, config.byte_per_sec, 1);
    let forgotten = metrics.forgotten_total.of(TableLabel::Bytes);
    PacedRates::new(rate, config.client_count_max, forgotten, clock)
}

fn charge<C: Clock>(rates: &PacedRates<C>, client: IpAddr, byte_count: usize) -> Duration {
    // No read or write has 4 GiB.
    match u32::try_from(byte_count).unwrap_or(u32::MAX) {
        0 => rates.wait(client),
        count => rates.charge(client, count),
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;
    use quorate_metrics::Registry;

    use super::*;
    use crate::paced_rates::WAIT_MAX;

    const KIB: usize = 1024;

    struct Rates(PacedRates<FakeRelativeClock>);

    impl Rates {
        fn charge(&self, client: IpAddr, byte_count: usize) -> Duration {
            charge(&self.0, client, byte_count)
        }
    }

    fn limited(byte_burst: u32, byte_per_sec: u32) -> (Rates, FakeRelativeClock) {
        let config = LimitConfig {
            byte_burst,
            byte_per_sec,
            ..LimitConfig::default()
        };
        let clock = FakeRelativeClock::default();
        let metrics = LimitMetrics::register(&Registry::new()).unwrap();
        (Rates(rates(&config, &metrics, &clock)), clock)
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_client_that_waits_gets_the_burst_and_then_the_rate() {
        let (rates, clock) = limited(64 * KIB as u32, 1_000_000);
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
        let (rates, _) = limited(64 * KIB as u32, 1_000_000);
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
    fn more_than_the_burst_has_to_wait() {
        let (rates, _) = limited(64 * KIB as u32, 1_000_000);
        let wait = rates.charge(address("192.0.2.1"), 64 * KIB + 2_000_000);
        assert_eq!(wait, Duration::from_secs(2));
        let other_network = address("198.51.100.2");
        assert_eq!(rates.charge(other_network, 0), Duration::ZERO);
    }

    #[test]
    fn the_waiting_time_can_be_read_without_a_charge() {
        let (rates, clock) = limited(64 * KIB as u32, 1_000_000);
        let client = address("192.0.2.1");
        rates.charge(client, 64 * KIB + 2_000_000);
        let wait_millis = || rates.charge(client, 0).as_millis();
        assert_eq!(wait_millis(), 2_000);
        assert_eq!(
            wait_millis(),
            2_000,
            "reading the waiting time costs nothing"
        );
        clock.advance(Duration::from_millis(1_500));
        assert_eq!(wait_millis(), 500);
        clock.advance(Duration::from_millis(501));
        assert_eq!(wait_millis(), 0);
    }

    #[test]
    fn nobody_waits_longer_than_a_few_seconds() {
        let (rates, clock) = limited(64 * KIB as u32, 1_000_000);
        let client = address("192.0.2.1");
        assert_eq!(rates.charge(client, 100_000_000), WAIT_MAX);
        assert_eq!(rates.charge(client, 1), WAIT_MAX);
        clock.advance(WAIT_MAX + Duration::from_millis(1));
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
