//! Limits the answers over UDP to an address and to each network around it.

use std::{
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use twox_hash::XxHash3_64;

use crate::LimitConfig;

/// The networks around an IPv4 address that have limits: the length of the prefix in the IPv6
/// address that the address is mapped to, and the limit as a multiple of one address's limit. These
/// prefixes and multiples are those of Knot DNS 3.4 (mod-rrl). An attacker who floods all addresses
/// of a network gets little more than for one address, and a network of many resolvers is still
/// served.
const IPV4: [(u32, u64); 4] = [
    (MAPPED_PREFIX_LEN + 18, 768),
    (MAPPED_PREFIX_LEN + 20, 256),
    (MAPPED_PREFIX_LEN + 24, 32),
    (MAPPED_PREFIX_LEN + 32, 1),
];

/// The same for an IPv6 address. One subscriber has a /64 to a /48.
const IPV6: [(u32, u64); 5] = [(32, 64), (48, 4), (56, 3), (64, 2), (128, 1)];

/// The number of bits before the IPv4 address in an IPv4-mapped IPv6 address.
const MAPPED_PREFIX_LEN: u32 = 96;

/// How many counters a network can be in: those of one cache line, so that a search costs one miss.
const COUNTERS_PER_LINE: usize = 8;

/// How many lines there are: half a MiB, 65,536 counters. By default, one answer drains from the
/// counter of its address in 5 ms. So with a million answers per second to as many addresses, about
/// 5,000 are in the table, in addition to at most four counters of each address that gets too many.
const LINE_COUNT: usize = 1 << 13;

/// The unit of time is 16 ns: a 48-bit number of ticks wraps around after 52 days.
const TICK_NANOS: u64 = 16;
const TICKS_PER_SEC: u64 = 1_000_000_000 / TICK_NANOS;
const TIME_BITS: u32 = 48;
const TIME_MASK: u64 = (1 << TIME_BITS) - 1;

/// The length of an epoch, in the time that a full counter takes to drain. In each epoch a network
/// has another counter, which forgives one burst: a twentieth of what the rate allows in that time.
const FILLS_PER_EPOCH: u64 = 20;

/// Response-rate limiting (RRL): limits the answers that an address gets over UDP, because somebody
/// else may have sent the queries with a forged source.
///
/// Every address and each network around it has a counter. An answer adds its price to all of them,
/// and they drain at a constant rate. If one of them would overflow, the answer is rejected and
/// adds nothing. So an address gets its burst and its rate and no more. A flood with one forged
/// address takes from its neighbours only what their network gets beyond the limit of one address.
///
/// The counters are in a table of fixed size, so strangers cannot choose how much memory they take.
/// A keyed hash of the network selects a line of the table, and 16 more bits of the hash find its
/// counter there. A network without a counter takes over the least full one: a flood of addresses
/// only loses the counts of addresses that got little. Two networks with equal bits share a
/// counter. To keep that short, every network has another hash in the next epoch (by default after
/// 100 s).
///
/// A counter is one number that is changed without a lock. If several threads, or two networks of
/// one address, change a counter at the same time, an answer may not be counted, or the counter's
/// old value is lost. Either admits a little too much.
pub struct ResponseRates {
    ipv4: [Network; IPV4.len()],
    ipv6: [Network; IPV6.len()],
    /// The capacity of a counter: the time that a full one takes to drain, in ticks.
    depth: u64,
    lines: Box<[CacheLine]>,
    /// The key of the hash.
    seed: u64,
    started: Instant,
}

/// A tag (16 bits of the network's hash), and the time at which the counter will be empty, in
/// ticks.
type Counter = AtomicU64;

#[derive(Default)]
#[repr(align(64))]
struct CacheLine([Counter; COUNTERS_PER_LINE]);

/// A prefix length that has a limit.
struct Network {
    /// In bits of an IPv6 address, to which an IPv4 address is mapped.
    prefix_len: u32,
    /// What one answer adds to the counter, in ticks.
    price: u64,
}

impl ResponseRates {
    /// The memory that the table takes, in bytes.
    pub const SIZE: usize = LINE_COUNT * size_of::<CacheLine>();

    /// The limits of `config`, whether it enables them or not. All counters are empty.
    pub fn new(config: &LimitConfig) -> Self {
        // The standard library seeds its hash maps with secret random keys.
        Self::with_seed(config, RandomState::new().hash_one(()))
    }

    fn with_seed(config: &LimitConfig, seed: u64) -> Self {
        let burst = u64::from(config.dns_answer_burst);
        let depth = burst * TICKS_PER_SEC / u64::from(config.dns_answer_per_sec);
        let network = |(prefix_len, multiple): (u32, u64)| Network {
            prefix_len,
            price: (depth / (burst * multiple)).max(1),
        };
        Self {
            ipv4: IPV4.map(network),
            ipv6: IPV6.map(network),
            depth,
            lines: (0..LINE_COUNT).map(|_| CacheLine::default()).collect(),
            seed,
            started: Instant::now(),
        }
    }

    /// Whether the address may get one more answer. If so, the answer is counted.
    pub fn admits(&self, address: IpAddr, now: Instant) -> bool {
        let now = self.ticks(now);
        match address.to_canonical() {
            IpAddr::V4(address) => self.take(&self.ipv4, address.to_ipv6_mapped().to_bits(), now),
            IpAddr::V6(address) => self.take(&self.ipv6, address.to_bits(), now),
        }
    }

    /// Adds the price to the counters of all networks of the address, or to none.
    fn take<const N: usize>(&self, networks: &[Network; N], address: u128, now: u64) -> bool {
        let epoch = now / (self.depth * FILLS_PER_EPOCH);
        let charges = networks.each_ref().map(|network| {
            let hash = network.hash(address, epoch, self.seed);
            self.charge(hash, network.price, now)
        });
        if charges.iter().any(Option::is_none) {
            return false;
        }
        for (counter, value) in charges.into_iter().flatten() {
            counter.store(value, Ordering::Relaxed);
        }
        true
    }

    /// The counter of the network with this hash, and its value with the price added; `None` if the
    /// counter would overflow.
    fn charge(&self, hash: u64, price: u64, now: u64) -> Option<(&Counter, u64)> {
        let (counter, level) = self.counter(hash, now);
        let level = level + price;
        let empty_at = (now + level) & TIME_MASK;
        (level <= self.depth).then_some((counter, (hash & !TIME_MASK) | empty_at))
    }

    /// The counter of the network with this hash, and how full it is. If the network has none, the
    /// least full counter of its line, as empty.
    fn counter(&self, hash: u64, now: u64) -> (&Counter, u64) {
        let CacheLine(counters) = &self.lines[hash as usize % LINE_COUNT];
        let values = counters.each_ref().map(|c| c.load(Ordering::Relaxed));
        let has_tag = |value: &u64| (value ^ hash) >> TIME_BITS == 0;
        match values.iter().position(has_tag) {
            Some(at) => (&counters[at], self.level(values[at], now)),
            None => {
                let levels = values.map(|value| self.level(value, now));
                let least = (0..COUNTERS_PER_LINE).min_by_key(|at| levels[*at]);
                (&counters[least.unwrap_or(0)], 0)
            }
        }
    }

    /// How full a counter is. If it seems fuller than possible, the time has wrapped around since
    /// it was empty.
    fn level(&self, value: u64, now: u64) -> u64 {
        let ahead = value.wrapping_sub(now) & TIME_MASK;
        if ahead <= self.depth { ahead } else { 0 }
    }

    fn ticks(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.started);
        since.as_secs() * TICKS_PER_SEC + u64::from(since.subsec_nanos()) / TICK_NANOS
    }
}

impl Network {
    /// A hash that nobody can predict without the seed. It differs in each epoch.
    fn hash(&self, address: u128, epoch: u64, seed: u64) -> u64 {
        let prefix = address >> (u128::BITS - self.prefix_len);
        // The length is part of the hash: two networks with different lengths can have the same
        // bits.
        let mut bytes = [0; 28];
        bytes[..16].copy_from_slice(&prefix.to_le_bytes());
        bytes[16..24].copy_from_slice(&epoch.to_le_bytes());
        bytes[24..].copy_from_slice(&self.prefix_len.to_le_bytes());
        XxHash3_64::oneshot_with_seed(seed, &bytes)
    }
}

#[cfg(test)]
#[path = "response_rates_tests.rs"]
mod tests;
