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
    rate::{Rate, TokenRate},
};

/// The networks of an IPv4 address that have a rate, narrowest first. Each is given by the length
/// of its prefix in the IPv6 address that the address is mapped to (RFC 4291, section 2.5.5.2).
///
/// A /32 is one subscriber, or many behind one address. A /24 is the smallest network that the
/// Internet routes, so an operator has at least that.
const IPV4_PREFIX_LENS: &[u32] = &[MAPPED_PREFIX_LEN + 32, MAPPED_PREFIX_LEN + 24];

/// The networks of an IPv6 address that have a rate, narrowest first.
///
/// One subscriber has at least a /64, and hosts choose new addresses in it all day (RFC 8981). A
/// site has up to a /48 (RFC 6177). A provider gets at least a /32.
const IPV6_PREFIX_LENS: &[u32] = &[64, 48, 32];

/// The number of bits before the IPv4 address in an IPv4-mapped IPv6 address.
const MAPPED_PREFIX_LEN: u32 = 96;

/// The rate of each level as a multiple of a client's rate: the client itself, its site (an IPv4
/// /24 or an IPv6 /48), and its provider (an IPv6 /32).
pub(crate) type NetworkMultiples = [u32; IPV6_PREFIX_LENS.len()];

/// A rate for each client, and larger ones for the networks that it is in.
pub(crate) struct ClientRates<C: Clock> {
    /// Narrowest first, in the same order as the lengths of prefixes.
    levels: [(Rate<C>, Limit); IPV6_PREFIX_LENS.len()],
    /// The key of the hash. It is secret, so that nobody can choose whose slots to share.
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
    /// `of_client` and `of_network` are the limits that are reported when a rate is exceeded.
    pub(crate) fn new(
        client: TokenRate,
        multiples: NetworkMultiples,
        [of_client, of_network]: [Limit; 2],
        slot_count_min: usize,
        forgotten: &Counter,
        clock: &C,
    ) -> Self {
        let rate = |multiple| {
            let rate = client.times(multiple);
            Rate::new(rate, slot_count_min, forgotten.clone(), clock.clone())
        };
        let [client, site, provider] = multiples.map(rate);
        Self {
            levels: [
                (client, of_client),
                (site, of_network),
                (provider, of_network),
            ],
            // The standard library seeds its hash maps with secret random keys.
            seed: RandomState::new().hash_one(()),
        }
    }
}

impl<C: Clock> ClientRates<C> {
    /// The buckets of the client at this address, narrowest first.
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

    /// The memory that the tables take, in bytes.
    pub(crate) fn size(&self) -> usize {
        self.levels.iter().map(|(rate, _)| rate.size()).sum()
    }
}

/// A hash of the client at this address. Nobody can predict it without the seed.
pub(crate) fn client_hash(client: IpAddr, seed: u64) -> u64 {
    let (bits, prefix_lens) = networks(client);
    network_hash(bits, prefix_lens[0], seed)
}

/// The bits of an address, and the prefix lengths of its networks that have a rate.
fn networks(client: IpAddr) -> (u128, &'static [u32]) {
    match client.to_canonical() {
        IpAddr::V4(address) => (address.to_ipv6_mapped().to_bits(), IPV4_PREFIX_LENS),
        IpAddr::V6(address) => (address.to_bits(), IPV6_PREFIX_LENS),
    }
}

fn network_hash(bits: u128, prefix_len: u32, seed: u64) -> u64 {
    let prefix = bits >> (u128::BITS - prefix_len);
    // The length is part of the hash: two networks with different lengths can have the same bits.
    let seed = seed ^ u64::from(prefix_len);
    XxHash3_64::oneshot_with_seed(seed, &prefix.to_le_bytes())
}

/// A hash of these bytes. Nobody can predict it without the seed.
pub(crate) fn keyed_hash(bytes: &[u8], seed: u64) -> u64 {
    XxHash3_64::oneshot_with_seed(seed, bytes)
}
