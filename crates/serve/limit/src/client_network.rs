//! A client and the networks around it: what limits apply to.

use std::net::IpAddr;

use twox_hash::XxHash3_64;

/// How large a network around a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NetworkLevel {
    /// The client itself: an IPv4 address, or an IPv6 /64. One subscriber has at least that (RFC
    /// 6177), and hosts choose new addresses in a /64 all day (RFC 8981).
    Client,
    /// Its site: an IPv4 /24, the smallest network that the Internet routes, or an IPv6 /48, the
    /// largest that a site gets (RFC 6177).
    Site,
    /// Its provider: an IPv6 /32, the least that a provider gets.
    Provider,
}

impl NetworkLevel {
    /// How many levels there are.
    pub(crate) const COUNT: usize = 3;

    /// How much a network of this level may do, as a multiple of what a client may.
    ///
    /// A /24 of hosts, or a /48 with a /64 for each machine, carries 16 times the 2,000 endpoints
    /// of one address. A provider's /32 has 65,536 sites, but one attacker may own all of it.
    pub const fn multiple(self) -> u32 {
        match self {
            Self::Client => 1,
            Self::Site => 16,
            Self::Provider => 64,
        }
    }

    /// How many places of `count_max` in all a network of this level may take, if one client may
    /// take `per_client_max`: the [multiple](Self::multiple) of that, but of the places that one
    /// client must leave, a network must leave half. So the neighbours of a client that takes all
    /// it may find places, and so do clients elsewhere.
    pub fn place_count_max(self, per_client_max: usize, count_max: usize) -> usize {
        let multiple = per_client_max.saturating_mul(self.multiple() as usize);
        let left_by_client = count_max.saturating_sub(per_client_max);
        multiple.min(per_client_max.saturating_add(left_by_client / 2))
    }
}

/// A client, or a network around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientNetwork {
    level: NetworkLevel,
    /// The length of the prefix in bits of an IPv6 address. An IPv4 address is mapped to one (RFC
    /// 4291, section 2.5.5.2).
    prefix_len: u32,
    prefix: u128,
}

/// The levels of an IPv4 address with the lengths of their prefixes, narrowest first.
const IPV4: &[(NetworkLevel, u32)] = &[
    (NetworkLevel::Client, MAPPED_PREFIX_LEN + 32),
    (NetworkLevel::Site, MAPPED_PREFIX_LEN + 24),
];

/// The same for an IPv6 address.
const IPV6: &[(NetworkLevel, u32)] = &[
    (NetworkLevel::Client, 64),
    (NetworkLevel::Site, 48),
    (NetworkLevel::Provider, 32),
];

/// The number of bits before the IPv4 address in an IPv4-mapped IPv6 address.
const MAPPED_PREFIX_LEN: u32 = 96;

impl ClientNetwork {
    /// The client at this address and the networks around it, narrowest first.
    pub fn all_of(address: IpAddr) -> impl DoubleEndedIterator<Item = Self> + Clone {
        let (bits, levels) = match address.to_canonical() {
            IpAddr::V4(address) => (address.to_ipv6_mapped().to_bits(), IPV4),
            IpAddr::V6(address) => (address.to_bits(), IPV6),
        };
        levels.iter().map(move |(level, prefix_len)| Self {
            level: *level,
            prefix_len: *prefix_len,
            prefix: bits >> (u128::BITS - prefix_len),
        })
    }

    /// How large it is.
    pub fn level(self) -> NetworkLevel {
        self.level
    }

    /// A hash that nobody can predict without the seed.
    pub(crate) fn hash(self, seed: u64) -> u64 {
        // The length is part of the hash: two networks with different lengths can have the same
        // bits.
        let seed = seed ^ u64::from(self.prefix_len);
        XxHash3_64::oneshot_with_seed(seed, &self.prefix.to_le_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(address: &str) -> Vec<ClientNetwork> {
        ClientNetwork::all_of(address.parse().unwrap()).collect()
    }

    /// How many networks, from the narrowest on, two addresses do not share.
    #[track_caller]
    fn check(one: &str, other: &str, different: usize) {
        let [one, other] = [one, other].map(networks);
        for (at, (one, other)) in one.iter().zip(&other).enumerate() {
            assert_eq!(one == other, at >= different, "{one:?} {other:?}");
        }
    }

    #[test]
    fn a_client_is_an_ipv4_address_or_an_ipv6_64_in_networks_of_fixed_size() {
        check("192.0.2.1", "::ffff:192.0.2.1", 0);
        check("192.0.2.1", "192.0.2.2", 1);
        check("192.0.2.1", "192.0.3.1", 2);
        check("2001:db8::1", "2001:db8::ffff:0:0:2", 0);
        check("2001:db8::1", "2001:db8:0:1::1", 1);
        check("2001:db8::1", "2001:db8:1::1", 2);
        check("2001:db8::1", "2001:db9::1", 3);
        let levels = |address| networks(address).into_iter().map(ClientNetwork::level);
        use NetworkLevel::{Client, Provider, Site};
        assert!(levels("192.0.2.1").eq([Client, Site]));
        assert!(levels("2001:db8::1").eq([Client, Site, Provider]));
    }

    #[test]
    fn networks_with_equal_bits_and_other_lengths_have_other_hashes() {
        let all = [networks("::"), networks("0.0.0.0")].concat();
        for (at, network) in all.iter().enumerate() {
            let same = all[..at]
                .iter()
                .any(|other| other.hash(1) == network.hash(1));
            assert!(!same, "{network:?}");
        }
    }

    #[test]
    fn a_network_leaves_half_of_what_a_client_leaves() {
        for (level, per_client_max, count_max, places) in [
            (NetworkLevel::Client, 8_192, 16_384, 8_192),
            (NetworkLevel::Site, 8_192, 16_384, 12_288),
            (NetworkLevel::Site, 16, 16_384, 256),
            (NetworkLevel::Provider, 16, 16_384, 1_024),
            (NetworkLevel::Provider, 16, 256, 136),
            (NetworkLevel::Site, 200, 256, 228),
            (NetworkLevel::Site, 0, 0, 0),
            (NetworkLevel::Provider, usize::MAX, 1, usize::MAX),
        ] {
            let max = level.place_count_max(per_client_max, count_max);
            assert_eq!(max, places, "{level:?} {per_client_max} {count_max}");
        }
    }
}
