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
    client_network::{ClientNetwork, NetworkLevel},
    rate::{Rate, TokenRate},
};

/// The rate of each level as a multiple of a client's rate: the client itself, its site (an IPv4
/// /24 or an IPv6 /48), and its provider (an IPv6 /32).
pub(crate) type NetworkMultiples = [u32; NetworkLevel::COUNT];

/// A rate for each client, and larger ones for the networks that it is in.
pub(crate) struct ClientRates<C: Clock> {
    /// Narrowest first.
    levels: [(Rate<C>, Limit); NetworkLevel::COUNT],
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
        let levels = ClientNetwork::all_of(client).zip(&self.levels);
        levels.map(|(network, (rate, limit))| Bucket {
            rate,
            hash: network.hash(self.seed),
            limit: *limit,
        })
    }

    /// The memory that the tables take, in bytes.
    pub(crate) fn size(&self) -> usize {
        self.levels.iter().map(|(rate, _)| rate.size()).sum()
    }
}

/// A hash of these bytes. Nobody can predict it without the seed.
pub(crate) fn keyed_hash(bytes: &[u8], seed: u64) -> u64 {
    XxHash3_64::oneshot_with_seed(seed, bytes)
}
