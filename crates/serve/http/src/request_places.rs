//! Bounds the requests of HTTP/2 connections that are under way, over all connections.

use std::{
    collections::HashMap,
    net::IpAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, HttpBody},
    response::Response,
};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use quorate_limit::ClientNetwork;
use tokio::time::{Instant, sleep};

/// How many requests of one HTTP/2 connection are served at the same time: the minimum that RFC
/// 9113 (section 6.5.2) recommends, because each may need memory for a body and an answer.
pub(crate) const STREAM_COUNT_MAX: usize = 100;

/// How many a connection always has, however many others there are. So no client keeps out others,
/// and the total is bounded by the number of connections.
const STREAM_COUNT_MIN: usize = 4;

/// From how many requests of all clients on a connection has only the minimum. A request that waits
/// for its client takes about 6 KiB, so these take 100 MiB.
const COUNT_MAX: usize = 16_384;

/// From how many requests of one client, or of a network around it, a connection of it has only one;
/// from twice as many it has none. For a client that is two for each of 2,000 endpoints behind one
/// address.
const COUNT_PER_CLIENT_MAX: usize = 4_096;

/// The requests under way of all HTTP/2 connections of a server. Those of trusted proxies are not
/// counted, because a proxy has many clients.
#[derive(Clone, Default)]
pub(crate) struct RequestPlaces(Arc<Shared>);

#[derive(Default)]
struct Shared {
    count: AtomicUsize,
    /// Those of the clients and networks with connections, so there are no more entries than three
    /// for each connection.
    networks: Mutex<HashMap<ClientNetwork, Arc<AtomicUsize>>>,
}

impl RequestPlaces {
    /// The places of a new connection. Without a client, as for a trusted proxy, the connection
    /// always has the maximum.
    pub(crate) fn connect(&self, client: Option<IpAddr>) -> Arc<ConnectionPlaces> {
        let mut counts = self.0.lock();
        let networks = client.into_iter().flat_map(ClientNetwork::all_of);
        let networks =
            networks.map(|network| (network, counts.entry(network).or_default().clone()));
        Arc::new(ConnectionPlaces {
            shared: self.0.clone(),
            networks: networks.collect(),
            count: AtomicUsize::new(0),
            unread: Mutex::default(),
        })
    }

    #[cfg(test)]
    fn counts(&self) -> (usize, usize) {
        (self.0.count.load(Ordering::Relaxed), self.0.lock().len())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, HashMap<ClientNetwork, Arc<AtomicUsize>>> {
        self.networks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The requests under way of one connection.
pub(crate) struct ConnectionPlaces {
    shared: Arc<Shared>,
    /// How many its client, and each network around it, have. Empty for a trusted proxy.
    networks: Vec<(ClientNetwork, Arc<AtomicUsize>)>,
    count: AtomicUsize,
    /// When the client was last given a piece of each answer that it has not read since.
    unread: Mutex<HashMap<PlaceId, Instant>>,
}

/// The address of a place in memory, which is unique while the place is held.
type PlaceId = usize;

impl ConnectionPlaces {
    /// Takes a place for a request. `None` if the connection has its share already: 100, and fewer
    /// when its client, a network around it, or all clients have many requests under way.
    pub(crate) fn take(self: &Arc<Self>) -> Option<Place> {
        let own = self.count.fetch_add(1, Ordering::Relaxed);
        let place = Place(self.clone());
        if self.networks.is_empty() {
            return Some(place);
        }
        let all = self.shared.count.fetch_add(1, Ordering::Relaxed);
        let of_networks = self.networks.iter().map(|(network, count)| {
            let level = network.level();
            let count_max = level.place_count_max(COUNT_PER_CLIENT_MAX, COUNT_MAX);
            share_of_network(count.fetch_add(1, Ordering::Relaxed), count_max)
        });
        let share = of_networks.fold(share(all, COUNT_MAX, STREAM_COUNT_MIN), usize::min);
        (own < share).then_some(place)
    }

    /// Waits until the client has not read a piece of an answer for `timeout`.
    pub(crate) async fn unread_for(&self, timeout: Duration) {
        loop {
            sleep(timeout).await;
            let now = Instant::now();
            let is_late = |since: &Instant| now.duration_since(*since) >= timeout;
            if self.unread().values().any(is_late) {
                return;
            }
        }
    }

    fn unread(&self) -> MutexGuard<'_, HashMap<PlaceId, Instant>> {
        self.unread.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ConnectionPlaces {
    fn drop(&mut self) {
        let mut counts = self.shared.lock();
        for (network, count) in self.networks.drain(..) {
            // The map has the other reference, and nobody takes another while it is locked.
            if Arc::strong_count(&count) == 2 {
                counts.remove(&network);
            }
        }
    }
}

/// How many requests a connection may have when `count` of `count_max` are under way: all up to
/// half of them, then fewer and fewer, down to `min`.
fn share(count: usize, count_max: usize, min: usize) -> usize {
    let left = count_max.saturating_sub(count).min(count_max / 2);
    min + (STREAM_COUNT_MAX - min) * left / (count_max / 2)
}

/// The same for the requests of one client or network, which must not make others have fewer.
fn share_of_network(count: usize, count_max: usize) -> usize {
    match count < 2 * count_max {
        true => share(count, count_max, 1),
        false => 0,
    }
}

/// The place of a request under way, until it is dropped.
pub(crate) struct Place(Arc<ConnectionPlaces>);

impl Place {
    /// Keeps the place until the client has received the response.
    pub(crate) fn until_sent(self, response: Response) -> Response {
        if response.body().is_end_stream() {
            return response;
        }
        response.map(|body| {
            Body::new(SentBody {
                place: Box::new(self),
                body,
            })
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Self(connection) = self;
        connection.count.fetch_sub(1, Ordering::Relaxed);
        if !connection.networks.is_empty() {
            connection.shared.count.fetch_sub(1, Ordering::Relaxed);
        }
        for (_, count) in &connection.networks {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// The body of a response. hyper asks for the next piece when it has sent the last one, so a client
/// that reads nothing is known by the time since.
struct SentBody {
    place: Box<Place>,
    body: Body,
}

impl SentBody {
    fn id(&self) -> PlaceId {
        std::ptr::from_ref(&*self.place).addr()
    }
}

impl HttpBody for SentBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        let mut unread = self.place.0.unread();
        match &polled {
            Poll::Ready(Some(Ok(_))) => unread.insert(self.id(), Instant::now()),
            _ => unread.remove(&self.id()),
        };
        drop(unread);
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for SentBody {
    fn drop(&mut self) {
        let id = self.id();
        self.place.0.unread().remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use std::{iter, net::Ipv4Addr};

    use super::*;

    fn client(number: u32) -> Option<IpAddr> {
        Some(Ipv4Addr::from(number).into())
    }

    /// Takes as many places as the connection gets.
    fn fill(connection: &Arc<ConnectionPlaces>) -> Vec<Place> {
        iter::from_fn(|| connection.take()).collect()
    }

    #[test]
    fn one_client_cannot_have_more_than_its_share_on_any_number_of_connections() {
        let places = RequestPlaces::default();
        let held: Vec<_> = (0..8_192)
            .map(|_| fill(&places.connect(client(1))))
            .collect();
        assert_eq!(held[0].len(), STREAM_COUNT_MAX);
        assert_eq!(held[8_191].len(), 0);
        let (all, _) = places.counts();
        assert_eq!(all, 2 * COUNT_PER_CLIENT_MAX);
        let other = places.connect(client(1 << 16));
        // From half of all on, others have fewer too.
        assert!(fill(&other).len() > STREAM_COUNT_MAX - 5);
    }

    #[test]
    fn many_clients_share_and_each_connection_keeps_the_minimum() {
        let places = RequestPlaces::default();
        let held: Vec<_> = (0..10_000)
            .map(|number| fill(&places.connect(client(number << 8))))
            .collect();
        let (all, _) = places.counts();
        assert!(all <= COUNT_MAX + 10_000 * STREAM_COUNT_MIN, "{all}");
        assert_eq!(held[9_999].len(), STREAM_COUNT_MIN);
        let proxy = places.connect(None);
        let of_proxy: Vec<_> = (0..STREAM_COUNT_MAX).map_while(|_| proxy.take()).collect();
        assert_eq!(of_proxy.len(), STREAM_COUNT_MAX);
        assert_eq!(places.counts().0, all, "those of a proxy are not counted");
    }

    #[test]
    fn a_network_leaves_places_for_others() {
        let places = RequestPlaces::default();
        let connections = (0..2_048).map(|number| places.connect(client(number % 256)));
        let _held: Vec<_> = connections.map(|connection| fill(&connection)).collect();
        let other = places.connect(client(1 << 16));
        assert!(fill(&other).len() > STREAM_COUNT_MIN);
    }

    #[test]
    fn nothing_is_left_of_connections_that_ended() {
        let places = RequestPlaces::default();
        let [one, same, other] = [1, 1, 2].map(|number| places.connect(client(number)));
        let held = [fill(&one), fill(&same)];
        drop((one, other));
        // The client and its /24.
        assert_eq!(places.counts(), (2 * STREAM_COUNT_MAX, 2));
        drop((held, same));
        assert_eq!(places.counts(), (0, 0));
    }
}
