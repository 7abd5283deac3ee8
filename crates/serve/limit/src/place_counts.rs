//! Counts the places that clients and the networks around them hold.

use std::{collections::HashMap, net::IpAddr};

use crate::ClientNetwork;

/// How many places each client holds, and each network around it: connections, or requests that
/// wait.
///
/// Its memory is bounded by the number of places: there is an entry only for a network that holds a
/// place, so at most three for each.
#[derive(Debug, Default)]
pub struct PlaceCounts {
    total: usize,
    by_network: HashMap<ClientNetwork, usize>,
}

impl PlaceCounts {
    /// How many places are held in all.
    pub fn total(&self) -> usize {
        self.total
    }

    /// How many of them this client or network holds.
    pub fn count(&self, network: ClientNetwork) -> usize {
        self.by_network.get(&network).copied().unwrap_or(0)
    }

    /// The client at this address, or else the narrowest network around it, that holds all it may:
    /// see [`NetworkLevel::place_count_max`](crate::NetworkLevel::place_count_max).
    pub fn full_network(
        &self,
        address: IpAddr,
        per_client_max: usize,
        count_max: usize,
    ) -> Option<ClientNetwork> {
        let mut networks = ClientNetwork::all_of(address);
        networks.find(|network| {
            let count_max = network.level().place_count_max(per_client_max, count_max);
            self.count(*network) >= count_max
        })
    }

    /// Counts a place of the client at this address.
    pub fn add(&mut self, address: IpAddr) {
        self.total += 1;
        for network in ClientNetwork::all_of(address) {
            *self.by_network.entry(network).or_default() += 1;
        }
    }

    /// Counts a place less of the client at this address, which had one.
    pub fn remove(&mut self, address: IpAddr) {
        self.total -= 1;
        for network in ClientNetwork::all_of(address) {
            if let Some(count) = self.by_network.get_mut(&network) {
                *count -= 1;
                if *count == 0 {
                    self.by_network.remove(&network);
                }
            }
        }
    }

    /// Whether nothing is held, and nothing is in memory.
    pub fn is_empty(&self) -> bool {
        self.total == 0 && self.by_network.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NetworkLevel;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// How many places these clients get together, each until it or a network around it is full.
    fn take_all(counts: &mut PlaceCounts, clients: impl Iterator<Item = String>) -> usize {
        let before = counts.total();
        for client in clients {
            let client = address(&client);
            while counts.full_network(client, 10, 1_000).is_none() {
                counts.add(client);
            }
        }
        counts.total() - before
    }

    #[test]
    fn networks_get_their_multiple_of_one_client_and_leave_places_for_others() {
        let mut counts = PlaceCounts::default();
        let v4 = (0..256).map(|host| format!("192.0.2.{host}"));
        assert_eq!(take_all(&mut counts, v4), 160);
        let site = (0..256).map(|net| format!("2001:db8:0:{net:x}::1"));
        assert_eq!(take_all(&mut counts, site), 160);
        let provider = (0..256).map(|site| format!("2001:db8:{site:x}::1"));
        assert_eq!(take_all(&mut counts, provider), 345, "505 in the /32");
        let full = counts.full_network(address("2001:db8:ffff::1"), 10, 1_000);
        assert_eq!(full.unwrap().level(), NetworkLevel::Provider);
        let free = counts.full_network(address("192.0.3.1"), 10, 1_000);
        assert_eq!(free, None);
    }

    #[test]
    fn nothing_is_left_when_all_places_are_free() {
        let mut counts = PlaceCounts::default();
        let clients = ["192.0.2.1", "192.0.2.1", "192.0.2.2", "2001:db8::1"].map(address);
        clients.iter().for_each(|client| counts.add(*client));
        assert!(!counts.is_empty());
        clients.iter().for_each(|client| counts.remove(*client));
        assert!(counts.is_empty(), "{counts:?}");
    }
}
