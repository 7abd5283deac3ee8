//! A rate for each client, and larger ones for the networks that it is in.

use std::{
    hash::{BuildHasher, RandomState},
    net::IpAddr,
};

use governor::clock::Clock;
use quorate_metrics::Counter;
use twox_hash::XxHash3_64;

use crate::{
    Limit,
    rate::{Allowance, Rate},
};

/// The networks of an IPv4 address that have a rate, narrow first, by the length of their prefix in
/// bits of the IPv6 address that the address is mapped to (RFC 4291, section 2.5.5.2).
///
/// A /32 is one subscriber, or many behind one address. A /24 is the least that the Internet routes,
/// so it is what one operator has.
const IPV4_PREFIX_LENS: &[u32] = &[MAPPED_PREFIX_LEN + 32, MAPPED_PREFIX_LEN + 24];

/// The same of an IPv6 address.
///
/// One subscriber has a whole /64 at the least, and hosts draw new addresses in it all day
/// (RFC 8981); a site has up to a /48 (RFC 6177); a /32 is the least that a provider gets.
const IPV6_PREFIX_LENS: &[u32] = &[64, 48, 32];

/// Where in an IPv6 address that is mapped from IPv4 the IPv4 address begins, in bits.
const MAPPED_PREFIX_LEN: u32 = 96;

/// How many times as much as a client each level may have: the client itself, its site (an IPv4 /24
/// or an IPv6 /48), and its provider (an IPv6 /32).
pub(crate) type Multiples = [u32; IPV6_PREFIX_LENS.len()];

/// A rate for each client, and larger ones for the networks that it is in.
pub(crate) struct ClientRates<C: Clock> {
    /// Narrow first, as the lengths of prefixes are.
    levels: [(Rate<C>, Limit); IPV6_PREFIX_LENS.len()],
    /// The key of the hash, so that nobody can choose with whom to share a line.
    seed: u64,
}

/// One of the buckets that a request takes a token from.
#[derive(Clone)]
pub(crate) struct Bucket<'a, C: Clock> {
    pub(crate) rate: &'a Rate<C>,
    pub(crate) hash: u64,
    pub(crate) limit: Limit,
}

impl<C: Clock + Clone> ClientRates<C> {
    /// `limits` are what the rate of a client and that of a network are called.
    pub(crate) fn new(
        client: Allowance,
        multiples: Multiples,
        [of_client, of_network]: [Limit; 2],
        slot_count_min: usize,
        forgotten: &Counter,
        clock: &C,
    ) -> Self {
        let rate = |multiple| {
            let allowance = client.times(multiple);
            Rate::new(allowance, slot_count_min, forgotten.clone(), clock.clone())
        };
        let [client, site, provider] = multiples.map(rate);
        Self {
            levels: [
                (client, of_client),
                (site, of_network),
                (provider, of_network),
            ],
            // The standard library's own source of keys that nobody can know.
            seed: RandomState::new().hash_one(()),
        }
    }
}

impl<C: Clock> ClientRates<C> {
    /// The buckets of the client at this address, narrow first.
    pub(crate) fn buckets(&self, client: IpAddr) -> impl Iterator<Item = Bucket<'_, C>> + Clone {
        let (bits, prefix_lens) = networks(client);
        let levels = prefix_lens.iter().zip(&self.levels);
        levels.map(move |(prefix_len, (rate, limit))| {
            let hash = network_hash(bits, *prefix_len, self.seed);
            Bucket {
                rate,
                hash,
                limit: *limit,
            }
        })
    }

    /// How much memory they take, in bytes.
    pub(crate) fn size(&self) -> usize {
        self.levels.iter().map(|(rate, _)| rate.size()).sum()
    }
}

/// A number for the client at this address that nobody can tell without the seed.
pub(crate) fn client_hash(client: IpAddr, seed: u64) -> u64 {
    let (bits, prefix_lens) = networks(client);
    network_hash(bits, prefix_lens[0], seed)
}

/// The bits of an address, and how many of them name each network that has a rate.
fn networks(client: IpAddr) -> (u128, &'static [u32]) {
    match client.to_canonical() {
        IpAddr::V4(address) => (address.to_ipv6_mapped().to_bits(), IPV4_PREFIX_LENS),
        IpAddr::V6(address) => (address.to_bits(), IPV6_PREFIX_LENS),
    }
}

fn network_hash(bits: u128, prefix_len: u32, seed: u64) -> u64 {
    let prefix = bits >> (u128::BITS - prefix_len);
    // The length belongs to it: networks of two lengths can begin with the same bits.
    let seed = seed ^ u64::from(prefix_len);
    XxHash3_64::oneshot_with_seed(seed, &prefix.to_le_bytes())
}

/// A number for whoever these bytes name that nobody can tell without the seed.
pub(crate) fn owner_hash(owner: &[u8], seed: u64) -> u64 {
    XxHash3_64::oneshot_with_seed(seed, owner)
}
