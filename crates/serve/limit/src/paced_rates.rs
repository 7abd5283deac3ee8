//! Rates whose users wait when they exceed them, instead of being rejected.

use std::{
    convert::Infallible,
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    time::Duration,
};

use governor::{
    clock::{Clock, Reference},
    nanos::Nanos,
};
use quorate_metrics::Counter;

use crate::{
    client_network::{ClientNetwork, NetworkLevel},
    rate::TokenRate,
    table::Table,
};

/// How long a client waits at most for what it used: less than a TLS handshake may take. All
/// clients that share its address, or its network, wait as long when they connect, and nobody must
/// be disconnected because of what others used.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(3);

/// A rate for each client, and the [multiples](NetworkLevel::multiple) of it for the networks
/// around. A use counts even if it exceeds them; then the user must wait before the next.
pub(crate) struct PacedRates<C: Clock> {
    levels: [PacedRate<C>; NetworkLevel::COUNT],
    /// The key of the hash. It is secret, so that nobody can choose whose slots to share.
    seed: u64,
}

impl<C: Clock + Clone> PacedRates<C> {
    /// With room for at least `slot_count_min` clients, and as many networks of each size.
    pub(crate) fn new(
        client: TokenRate,
        slot_count_min: usize,
        forgotten: &Counter,
        clock: &C,
    ) -> Self {
        let of_level = |level: NetworkLevel| {
            let rate = client.times(level.multiple());
            PacedRate::new(rate, slot_count_min, forgotten.clone(), clock.clone())
        };
        let levels = [
            NetworkLevel::Client,
            NetworkLevel::Site,
            NetworkLevel::Provider,
        ];
        Self {
            levels: levels.map(of_level),
            // The standard library seeds its hash maps with secret random keys.
            seed: RandomState::new().hash_one(()),
        }
    }
}

impl<C: Clock> PacedRates<C> {
    /// Counts `count` uses of the client at this address, and returns how long it must wait before
    /// the next: the longest time of its own and of the networks around it.
    pub(crate) fn charge(&self, client: IpAddr, count: u32) -> Duration {
        self.longest(client, |rate, hash| rate.charge(hash, count))
    }

    /// How long the client at this address must wait now.
    pub(crate) fn wait(&self, client: IpAddr) -> Duration {
        self.longest(client, PacedRate::wait)
    }

    /// The memory that the tables take, in bytes.
    pub(crate) fn size(&self) -> usize {
        self.levels.iter().map(|rate| rate.table.size()).sum()
    }

    fn longest(&self, client: IpAddr, wait: impl Fn(&PacedRate<C>, u64) -> Duration) -> Duration {
        let networks = ClientNetwork::all_of(client).zip(&self.levels);
        let waits = networks.map(|(network, rate)| wait(rate, network.hash(self.seed)));
        waits.fold(Duration::ZERO, Duration::max)
    }
}

/// Token buckets that may owe tokens for up to [`WAIT_MAX`], each found by a hash.
struct PacedRate<C: Clock> {
    table: Table,
    clock: C,
    /// The times in the table are relative to this.
    started_at: C::Instant,
    rate: TokenRate,
    /// How long the refill of an empty bucket takes, in nanoseconds.
    depth: u64,
}

impl<C: Clock> PacedRate<C> {
    fn new(rate: TokenRate, slot_count_min: usize, forgotten: Counter, clock: C) -> Self {
        Self {
            table: Table::new(slot_count_min, rate.refill_nanos(1), forgotten),
            started_at: clock.now(),
            clock,
            depth: rate.refill_nanos(rate.burst()),
            rate,
        }
    }

    /// Takes `count` tokens even if the bucket has fewer, and returns how long the refill of the
    /// missing ones takes. Tokens whose refill would take longer than [`WAIT_MAX`] are not counted.
    fn charge(&self, hash: u64, count: u32) -> Duration {
        let missing_max = self.depth.saturating_add(Nanos::from(WAIT_MAX).as_u64());
        let cost = self.rate.refill_nanos(count).min(missing_max);
        let now = self.now();
        let Ok(missing) = self.table.take(hash, cost, |full_at| {
            let missing = full_at.unwrap_or_default().saturating_sub(now);
            let missing = missing.saturating_add(cost).min(missing_max);
            Ok::<_, Infallible>((missing, now.saturating_add(missing)))
        });
        Duration::from_nanos(missing.saturating_sub(self.depth))
    }

    /// How long the refill of the tokens takes that the bucket owes.
    fn wait(&self, hash: u64) -> Duration {
        let missing = self.table.full_at(hash).saturating_sub(self.now());
        Duration::from_nanos(missing.saturating_sub(self.depth))
    }

    fn now(&self) -> u64 {
        let now = self.clock.now();
        now.duration_since(self.started_at).as_u64()
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    /// A client may use 10 at once and then 1,000 a second.
    fn rates() -> (PacedRates<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        let forgotten = Counter::new("forgotten", "how many").unwrap();
        let rate = TokenRate::new(10, 1_000, 1);
        (PacedRates::new(rate, 1_000, &forgotten, &clock), clock)
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// How long the first of these clients waits after each of them used 10.
    fn wait_after_all(clients: impl Iterator<Item = String>) -> Duration {
        let (rates, _) = rates();
        let waits: Vec<_> = clients
            .map(|client| rates.charge(address(&client), 10))
            .collect();
        *waits.last().unwrap()
    }

    #[test]
    fn networks_get_their_multiple_of_one_client() {
        let v4 = |count| (0..count).map(|host| format!("192.0.2.{host}"));
        let v6_site = |count| (0..count).map(|net| format!("2001:db8:0:{net}::1"));
        let v6_provider = |count| (0..count).map(|site| format!("2001:db8:{site}::1"));
        assert_eq!(wait_after_all(v4(16)), Duration::ZERO);
        assert_eq!(wait_after_all(v6_site(16)), Duration::ZERO);
        assert_eq!(wait_after_all(v6_provider(64)), Duration::ZERO);
        // Ten more at 16,000, or 64,000 a second.
        assert_eq!(wait_after_all(v4(17)), Duration::from_micros(625));
        assert_eq!(wait_after_all(v6_site(17)), Duration::from_micros(625));
        assert_eq!(
            wait_after_all(v6_provider(65)),
            Duration::from_nanos(156_250)
        );
    }

    /// The refill of one token of 64 × 32 Mi a second takes less than a nanosecond.
    #[test]
    fn the_largest_rates_are_exact() {
        let clock = FakeRelativeClock::default();
        let forgotten = Counter::new("forgotten", "how many").unwrap();
        let rate = TokenRate::new(1, 32 << 20, 1);
        let rates = PacedRates::new(rate, 1_000, &forgotten, &clock);
        let provider = |site: u32| address(&format!("2001:db8:{site:x}::1"));
        for site in 0..64 {
            rates.charge(provider(site), 32 << 20);
        }
        let wait = rates.wait(provider(64)).as_secs_f64();
        assert!((0.999..1.001).contains(&wait), "{wait}");
    }

    #[test]
    fn a_client_that_waits_for_a_network_does_not_owe_for_it() {
        let (rates, clock) = rates();
        for host in 0..64 {
            rates.charge(address(&format!("192.0.2.{host}")), 100);
        }
        let newcomer = address("192.0.2.200");
        let wait = rates.wait(newcomer);
        assert!(wait > Duration::from_millis(300), "{wait:?}");
        clock.advance(wait);
        assert_eq!(rates.wait(newcomer), Duration::ZERO);
        assert_eq!(rates.wait(address("192.0.3.200")), Duration::ZERO);
    }
}
