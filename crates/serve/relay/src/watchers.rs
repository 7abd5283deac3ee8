//! Limits how many requests wait for changes, in total, and of a client and the networks around it.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use quorate_http::{ProblemResponse, ProblemType};
use quorate_limit::{ClientNetwork, NetworkLevel, PlaceCounts};
use quorate_metrics::GaugeGuard;
use tokio::sync::oneshot;

use crate::{
    RelayMetrics, WatchSettings,
    metrics::{TooManyWatchers, WatchLabel},
};

/// After how many seconds a rejected request may be retried. Slots stay taken for a long time.
const RETRY_AFTER_SECS: u64 = 10;

/// The requests that wait for changes. Each occupies a connection, or a stream of one.
///
/// A client, and each network around it, has a limit. If all places are taken, the widest network
/// with the most of them, an IPv4 /24 or an IPv6 /32, gives up the one that it has held the longest,
/// for a client of a network that has at least two fewer. So however many places some take, others
/// get one, until as many networks wait as there are places.
pub(crate) struct Watchers {
    settings: WatchSettings,
    metrics: RelayMetrics,
    waiting: Arc<Mutex<Waiting>>,
}

/// The places that are taken.
#[derive(Debug, Default)]
struct Waiting {
    counts: PlaceCounts,
    /// How many places were ever taken.
    id: u64,
    /// Those of each network, the one that was taken first in front. Dropping the sender ends the
    /// wait.
    slots: BTreeMap<(ClientNetwork, u64), (IpAddr, oneshot::Sender<Infallible>)>,
    /// All networks that have places, by their number of places.
    networks: BTreeSet<(usize, ClientNetwork)>,
}

impl Waiting {
    fn add(&mut self, client: IpAddr) -> (u64, oneshot::Receiver<Infallible>) {
        let (on_displaced, displaced) = oneshot::channel();
        let network = widest(client);
        self.id += 1;
        self.slots
            .insert((network, self.id), (client, on_displaced));
        self.count(network, |counts| counts.add(client));
        (self.id, displaced)
    }

    /// Does nothing if the place was given up before.
    fn remove(&mut self, network: ClientNetwork, id: u64) {
        if let Some((client, _)) = self.slots.remove(&(network, id)) {
            self.count(network, |counts| counts.remove(client));
        }
    }

    /// Frees a place for a client that has fewer than others. Returns whether there was one.
    fn displace_for(&mut self, client: IpAddr) -> bool {
        let own = self.counts.count(widest(client));
        let Some(&(count, largest)) = self.networks.last() else {
            return false;
        };
        let mut slots = self.slots.range((largest, 0)..);
        match slots.next() {
            Some((&(network, id), _)) if count > own + 1 => {
                self.remove(network, id);
                true
            }
            _ => false,
        }
    }

    /// Changes the counts of a client of this network.
    fn count(&mut self, network: ClientNetwork, change: impl FnOnce(&mut PlaceCounts)) {
        self.networks.remove(&(self.counts.count(network), network));
        change(&mut self.counts);
        let count = self.counts.count(network);
        if count > 0 {
            self.networks.insert((count, network));
        }
    }
}

/// The widest network around the client at this address: an owner of one can have any number of
/// those inside it.
fn widest(address: IpAddr) -> ClientNetwork {
    let widest = ClientNetwork::all_of(address).next_back();
    widest.expect("every address is in a network")
}

impl From<TooManyWatchers> for ProblemResponse {
    fn from(error: TooManyWatchers) -> Self {
        let kind = match error {
            TooManyWatchers::Node => ProblemType::Overloaded,
            TooManyWatchers::Client | TooManyWatchers::Network => ProblemType::RateLimited,
        };
        Self::new(kind, error).retry_after(RETRY_AFTER_SECS)
    }
}

impl Watchers {
    /// No request waits yet.
    pub(crate) fn new(settings: WatchSettings, metrics: RelayMetrics) -> Self {
        Self {
            settings,
            metrics,
            waiting: Arc::default(),
        }
    }

    /// Admits a request that waits. It counts until the returned slot is dropped.
    pub(crate) fn admit(
        &self,
        client: IpAddr,
        kind: WatchLabel,
    ) -> Result<WatcherSlot, TooManyWatchers> {
        let mut waiting = lock(&self.waiting);
        if let Some(exceeded) = self.make_room(&mut waiting, client) {
            self.metrics.watches_refused_total.of(exceeded).inc();
            return Err(exceeded);
        }
        let (id, displaced) = waiting.add(client);
        Ok(WatcherSlot {
            network: widest(client),
            id,
            displaced,
            waiting: self.waiting.clone(),
            _gauge: GaugeGuard::new(self.metrics.watches_open.of(kind)),
        })
    }

    /// Makes room for one more request of this client. Returns the limit because of which there is
    /// none.
    fn make_room(&self, waiting: &mut Waiting, client: IpAddr) -> Option<TooManyWatchers> {
        let (count_max, per_client_max) =
            (self.settings.count_max, self.settings.count_per_client_max);
        let full = waiting
            .counts
            .full_network(client, per_client_max, count_max);
        match full.map(ClientNetwork::level) {
            Some(NetworkLevel::Client) => Some(TooManyWatchers::Client),
            Some(NetworkLevel::Site | NetworkLevel::Provider) => Some(TooManyWatchers::Network),
            None if waiting.counts.total() < count_max => None,
            None if waiting.displace_for(client) => {
                self.metrics.watches_displaced_total.inc();
                None
            }
            None => Some(TooManyWatchers::Node),
        }
    }
}

/// Counts a waiting request until it is dropped.
#[derive(Debug)]
pub(crate) struct WatcherSlot {
    network: ClientNetwork,
    id: u64,
    displaced: oneshot::Receiver<Infallible>,
    waiting: Arc<Mutex<Waiting>>,
    _gauge: GaugeGuard,
}

impl WatcherSlot {
    /// Resolves, once, when another request needs the place and this one must end.
    pub(crate) async fn displaced(&mut self) {
        let Err(_) = (&mut self.displaced).await;
    }
}

impl Drop for WatcherSlot {
    fn drop(&mut self) {
        lock(&self.waiting).remove(self.network, self.id);
    }
}

/// Ignores poisoning, because no panic leaves the counts half changed.
fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use quorate_metrics::Registry;

    use super::*;

    fn watchers(count_max: usize, count_per_client_max: usize) -> Watchers {
        let settings = WatchSettings {
            count_max,
            count_per_client_max,
            ..WatchSettings::default()
        };
        Watchers::new(settings, RelayMetrics::register(&Registry::new()).unwrap())
    }

    fn admit(watchers: &Watchers, client: &str) -> Result<WatcherSlot, TooManyWatchers> {
        watchers.admit(client.parse().unwrap(), WatchLabel::Events)
    }

    /// All places that a client gets.
    fn admit_all(watchers: &Watchers, client: &str) -> Vec<WatcherSlot> {
        std::iter::from_fn(|| admit(watchers, client).ok()).collect()
    }

    #[test]
    fn a_released_slot_is_free_for_others() {
        let watchers = watchers(2, 2);
        let [one, other] = ["192.0.2.1", "198.51.100.1"].map(|c| admit(&watchers, c).unwrap());
        let exceeded = admit(&watchers, "203.0.113.1").unwrap_err();
        assert_eq!(exceeded, TooManyWatchers::Node);
        drop(one);
        let third = admit(&watchers, "203.0.113.1").unwrap();
        drop((other, third));
        let waiting = lock(&watchers.waiting);
        assert!(waiting.counts.is_empty() && waiting.slots.is_empty());
        assert!(waiting.networks.is_empty());
    }

    #[test]
    fn a_client_at_its_limit_leaves_slots_for_others() {
        let watchers = watchers(9, 1);
        let _slot = admit(&watchers, "2001:db8::1").unwrap();
        let exceeded = admit(&watchers, "2001:db8::2").unwrap_err();
        assert_eq!(exceeded, TooManyWatchers::Client);
        admit(&watchers, "2001:db8:0:1::1").unwrap();
    }

    #[test]
    fn a_network_leaves_half_of_what_a_client_leaves() {
        let watchers = watchers(100, 40);
        let held: Vec<_> = (1..=9)
            .map(|host| admit_all(&watchers, &format!("192.0.2.{host}")))
            .collect();
        let counts: Vec<_> = held.iter().map(Vec::len).collect();
        assert_eq!(counts, [40, 30, 0, 0, 0, 0, 0, 0, 0]);
        let exceeded = admit(&watchers, "192.0.2.9").unwrap_err();
        assert_eq!(exceeded, TooManyWatchers::Network);
        assert_eq!(admit_all(&watchers, "192.0.3.1").len(), 40);
    }

    /// How many of these slots were displaced.
    fn displaced(slots: &mut [WatcherSlot]) -> usize {
        let ended = slots.iter_mut().map(|slot| slot.displaced().now_or_never());
        ended.flatten().count()
    }

    /// Three addresses of different networks could once take all places.
    #[test]
    fn clients_that_take_all_they_can_leave_places_for_others() {
        let watchers = watchers(12, 4);
        let greedy = ["192.0.2.1", "198.51.100.1", "203.0.113.1"];
        let mut held = greedy.map(|client| admit_all(&watchers, client));
        let first = admit(&watchers, "192.0.1.1").unwrap();
        let second = admit(&watchers, "192.0.1.2").unwrap();
        assert_eq!(
            held.each_mut()
                .map(|slots| displaced(slots))
                .iter()
                .sum::<usize>(),
            2
        );
        let third = admit(&watchers, "192.0.1.3").unwrap();
        // All networks have three now.
        let exceeded = admit(&watchers, "192.0.1.4").unwrap_err();
        assert_eq!(exceeded, TooManyWatchers::Node);
        for client in greedy {
            admit(&watchers, client).unwrap_err();
        }
        assert_eq!(watchers.metrics.watches_displaced_total.get(), 3);
        drop((first, second, third, held));
        let waiting = lock(&watchers.waiting);
        assert!(waiting.counts.is_empty() && waiting.networks.is_empty());
    }

    #[test]
    fn a_network_gives_up_the_place_that_it_has_held_the_longest() {
        let watchers = watchers(4, 2);
        let mut first = admit_all(&watchers, "2001:db8::1");
        let mut second = admit_all(&watchers, "2001:db9::1");
        let _third = admit(&watchers, "2001:dba::1").unwrap();
        let ended: Vec<_> = [&mut first, &mut second]
            .into_iter()
            .flatten()
            .map(|slot| slot.displaced().now_or_never().is_some())
            .collect();
        assert_eq!(ended, [false, false, true, false]);
    }

    /// An owner of an IPv6 /32 has 65,536 networks inside it, which count as one.
    #[test]
    fn the_networks_inside_a_network_displace_nobody_together() {
        let watchers = watchers(12, 4);
        let _honest = ["192.0.2.1", "198.51.100.1"].map(|client| admit_all(&watchers, client));
        for network in 0..100 {
            let client = format!("2001:db8:{network}::1");
            let _ = admit(&watchers, &client).map(std::mem::forget);
        }
        let waiting = lock(&watchers.waiting);
        let honest = widest("192.0.2.1".parse().unwrap());
        assert_eq!(waiting.counts.count(honest), 4);
    }

    /// Each of ten thousand networks gets at most two of the places, and so does any other.
    #[test]
    fn ten_thousand_networks_leave_one_place_for_another() {
        let defaults = WatchSettings::default();
        let watchers = watchers(defaults.count_max, defaults.count_per_client_max);
        let client = |number| format!("10.{}.{}.1", number / 256, number % 256);
        let mut held = Vec::new();
        for _ in 0..3 {
            held.extend((0..10_000).filter_map(|number| admit(&watchers, &client(number)).ok()));
        }
        assert!(admit(&watchers, &client(0)).is_err());
        admit(&watchers, "192.0.2.1").unwrap();
    }
}
