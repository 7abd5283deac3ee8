//! How many answers over UDP an address, and each network around it, may get.

use std::{
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use twox_hash::XxHash3_64;

use crate::LimitConfig;

/// The networks around an IPv4 address that have limits: the length of their prefix in bits of the
/// IPv6 address that the address is mapped to, and how many times the limit of one address theirs is.
/// These prefixes and multiples are those of Knot DNS 3.4 (mod-rrl): an attacker who spreads over
/// a network that it floods gets little more out of it than from one address, and a network of many
/// resolvers still is served.
const IPV4: [(u32, u64); 4] = [
    (MAPPED_PREFIX_LEN + 18, 768),
    (MAPPED_PREFIX_LEN + 20, 256),
    (MAPPED_PREFIX_LEN + 24, 32),
    (MAPPED_PREFIX_LEN + 32, 1),
];

/// The same of an IPv6 address. One subscriber has a /64 to a /48.
const IPV6: [(u32, u64); 5] = [(32, 64), (48, 4), (56, 3), (64, 2), (128, 1)];

/// Where in an IPv6 address that is mapped from IPv4 the IPv4 address begins, in bits.
const MAPPED_PREFIX_LEN: u32 = 96;

/// How many counters a network may be in: those of one cache line, so that a search costs one miss.
const COUNTERS_PER_LINE: usize = 8;

/// How many lines there are: half a MiB of them, 65,536 counters. An answer runs through the counter
/// of its address in 5 ms by default, so of a million answers a second to as many addresses some
/// 5,000 are in the table, beside four counters at most of each address that gets too many.
const LINE_COUNT: usize = 1 << 13;

/// The unit of time is 16 ns: a 48-bit number of them repeats after 52 days.
const TICK_NANOS: u64 = 16;
const TICKS_PER_SEC: u64 = 1_000_000_000 / TICK_NANOS;
const TIME_BITS: u32 = 48;
const TIME_MASK: u64 = (1 << TIME_BITS) - 1;

/// How many times over a full counter could run empty before all networks change their counters.
/// Each change forgives one burst, which so is a twentieth of what the rate gives in that time.
const FILLS_PER_TERM: u64 = 20;

/// Response-rate limiting: what an address gets over UDP that somebody else may have asked for in
/// its name.
///
/// Every address and each network around it has a counter. An answer fills them all by its price,
/// they run empty at a constant rate, and an answer for which one of them has no room is refused and
/// fills none. So an address gets its burst and its rate and no more, and a flood in the name of one
/// address takes from its neighbours only what their network gets beyond the limit of one.
///
/// The counters stand in a table of fixed size, so strangers cannot choose how much memory they
/// take. A network is looked for by a keyed hash in one line of the table, by 16 more bits of the
/// hash within it, and else takes the counter that is the least full: in a flood of addresses, what
/// is lost is the count of those who got little. Two networks that agree in all bits share a
/// counter; that they do not for long, every network has another hash in the next term
/// (by default 100 s).
///
/// A counter is one number, changed without a lock. Threads that change one at the same moment, and
/// two networks of an address that begin in one, may count an answer too few or lose what it held.
/// Either admits a little too much.
pub struct ResponseRates {
    ipv4: [Network; IPV4.len()],
    ipv6: [Network; IPV6.len()],
    /// How much a counter holds: the time a full one takes to run empty, in ticks.
    depth: u64,
    lines: Box<[Line]>,
    /// The key of the hash.
    seed: u64,
    started: Instant,
}

/// A tag (16 bits of the network's hash), and the time at which the counter is empty, in ticks.
type Counter = AtomicU64;

#[derive(Default)]
#[repr(align(64))]
struct Line([Counter; COUNTERS_PER_LINE]);

/// The network of some prefix length around an address.
struct Network {
    /// In bits of an IPv6 address, to which an IPv4 address is mapped.
    prefix_len: u32,
    /// What an answer takes of its limit, in ticks.
    price: u64,
}

impl ResponseRates {
    /// How much memory they take, in bytes.
    pub const SIZE: usize = LINE_COUNT * size_of::<Line>();

    /// Limits under which nobody has got an answer yet, enabled or not.
    pub fn new(config: &LimitConfig) -> Self {
        // The standard library's own source of keys that nobody can know.
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
            lines: (0..LINE_COUNT).map(|_| Line::default()).collect(),
            seed,
            started: Instant::now(),
        }
    }

    /// Whether the address may get one more answer, which then counts as given.
    pub fn admits(&self, address: IpAddr, now: Instant) -> bool {
        let now = self.ticks(now);
        match address.to_canonical() {
            IpAddr::V4(address) => self.take(&self.ipv4, address.to_ipv6_mapped().to_bits(), now),
            IpAddr::V6(address) => self.take(&self.ipv6, address.to_bits(), now),
        }
    }

    /// Takes the price from all networks of the address, or from none.
    fn take<const N: usize>(&self, networks: &[Network; N], address: u128, now: u64) -> bool {
        let term = now / (self.depth * FILLS_PER_TERM);
        let charges = networks.each_ref().map(|network| {
            let hash = network.hash(address, term, self.seed);
            self.charge(hash, network.price, now)
        });
        if charges.iter().any(Option::is_none) {
            return false;
        }
        for (counter, held) in charges.into_iter().flatten() {
            counter.store(held, Ordering::Relaxed);
        }
        true
    }

    /// The counter of the network with this hash, and what it holds with the price added, if there is
    /// room for it.
    fn charge(&self, hash: u64, price: u64, now: u64) -> Option<(&Counter, u64)> {
        let (counter, level) = self.counter(hash, now);
        let level = level + price;
        let empty_at = (now + level) & TIME_MASK;
        (level <= self.depth).then_some((counter, (hash & !TIME_MASK) | empty_at))
    }

    /// The counter of the network with this hash and how full it is, or else the least full of those
    /// in its line, which begins anew.
    fn counter(&self, hash: u64, now: u64) -> (&Counter, u64) {
        let Line(counters) = &self.lines[hash as usize % LINE_COUNT];
        let held = counters.each_ref().map(|c| c.load(Ordering::Relaxed));
        let has_tag = |held: &u64| (held ^ hash) >> TIME_BITS == 0;
        match held.iter().position(has_tag) {
            Some(at) => (&counters[at], self.level(held[at], now)),
            None => {
                let levels = held.map(|held| self.level(held, now));
                let least = (0..COUNTERS_PER_LINE).min_by_key(|at| levels[*at]);
                (&counters[least.unwrap_or(0)], 0)
            }
        }
    }

    /// How full a counter is. One further ahead than it can be was empty long ago: time went round.
    fn level(&self, held: u64, now: u64) -> u64 {
        let ahead = held.wrapping_sub(now) & TIME_MASK;
        if ahead <= self.depth { ahead } else { 0 }
    }

    fn ticks(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.started);
        since.as_secs() * TICKS_PER_SEC + u64::from(since.subsec_nanos()) / TICK_NANOS
    }
}

impl Network {
    /// A number that nobody can tell without the seed, and another in each term.
    fn hash(&self, address: u128, term: u64, seed: u64) -> u64 {
        let prefix = address >> (u128::BITS - self.prefix_len);
        // The length belongs to it: networks of two lengths can begin with the same bits.
        let mut bytes = [0; 28];
        bytes[..16].copy_from_slice(&prefix.to_le_bytes());
        bytes[16..24].copy_from_slice(&term.to_le_bytes());
        bytes[24..].copy_from_slice(&self.prefix_len.to_le_bytes());
        XxHash3_64::oneshot_with_seed(seed, &bytes)
    }
}

#[cfg(test)]
#[path = "response_rates_tests.rs"]
mod tests;
