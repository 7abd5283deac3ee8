//! Bounds the requests of HTTP/2 connections that are under way, over all connections.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    body::{Body, HttpBody},
    response::Response,
};
use http_body_util::BodyExt;
use quorate_limit::Client;

/// How many requests of one HTTP/2 connection are served at the same time: the minimum that RFC
/// 9113 (section 6.5.2) recommends, because each may need memory for a body and an answer.
pub(crate) const STREAM_COUNT_MAX: usize = 100;

/// How many a connection always has, however many others there are. So no client keeps out others,
/// and the total is bounded by the number of connections.
const STREAM_COUNT_MIN: usize = 4;

/// From how many requests of all clients on a connection has only the minimum. A request that waits
/// for its client takes about 6 KiB, so these take 100 MiB.
const COUNT_MAX: usize = 16_384;

/// The same for the requests of one client: two for each of 2,000 endpoints behind one address.
const COUNT_PER_CLIENT_MAX: usize = 4_096;

/// The requests under way of all HTTP/2 connections of a server.
#[derive(Clone, Default)]
pub(crate) struct RequestPlaces(Arc<Shared>);

#[derive(Default)]
struct Shared {
    count: AtomicUsize,
    /// The clients with connections, so there are at most as many.
    clients: Mutex<HashMap<Client, Arc<AtomicUsize>>>,
}

impl RequestPlaces {
    /// The places of a new connection. Without a client, as for a trusted proxy, which has many
    /// clients, the connection always has the maximum.
    pub(crate) fn connect(&self, client: Option<Client>) -> Arc<ConnectionPlaces> {
        Arc::new(ConnectionPlaces {
            shared: self.0.clone(),
            client: client.map(|client| (client, self.0.lock().entry(client).or_default().clone())),
            count: AtomicUsize::new(0),
        })
    }

    #[cfg(test)]
    fn counts(&self) -> (usize, usize) {
        (self.0.count.load(Ordering::Relaxed), self.0.lock().len())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, HashMap<Client, Arc<AtomicUsize>>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The requests under way of one connection.
pub(crate) struct ConnectionPlaces {
    shared: Arc<Shared>,
    client: Option<(Client, Arc<AtomicUsize>)>,
    count: AtomicUsize,
}

impl ConnectionPlaces {
    /// Takes a place for a request. `None` if the connection has its share already: 100, and down to
    /// 4 when its client, or all clients together, have many requests under way.
    pub(crate) fn take(self: &Arc<Self>) -> Option<Place> {
        let own = self.count.fetch_add(1, Ordering::Relaxed);
        let all = self.shared.count.fetch_add(1, Ordering::Relaxed);
        let place = Place(self.clone());
        let Some((_, of_client)) = &self.client else {
            return Some(place);
        };
        let of_client = of_client.fetch_add(1, Ordering::Relaxed);
        let share = share(all, COUNT_MAX).min(share(of_client, COUNT_PER_CLIENT_MAX));
        (own < share).then_some(place)
    }
}

impl Drop for ConnectionPlaces {
    fn drop(&mut self) {
        let Some((client, count)) = self.client.take() else {
            return;
        };
        let mut clients = self.shared.lock();
        // The map has the other reference.
        if Arc::strong_count(&count) == 2 {
            clients.remove(&client);
        }
    }
}

/// How many requests a connection may have when `count` of `count_max` are under way: all up to
/// half of them, then fewer and fewer.
fn share(count: usize, count_max: usize) -> usize {
    let left = count_max.saturating_sub(count).min(count_max / 2);
    STREAM_COUNT_MIN + (STREAM_COUNT_MAX - STREAM_COUNT_MIN) * left / (count_max / 2)
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
            Body::new(body.map_frame(move |frame| {
                let _place = &self;
                frame
            }))
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Self(connection) = self;
        connection.count.fetch_sub(1, Ordering::Relaxed);
        connection.shared.count.fetch_sub(1, Ordering::Relaxed);
        if let Some((_, count)) = &connection.client {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{iter, net::Ipv4Addr};

    use super::*;

    fn client(number: u32) -> Option<Client> {
        Some(Client::V4(Ipv4Addr::from(number)))
    }

    /// Takes as many places as the connection gets.
    fn fill(connection: &Arc<ConnectionPlaces>) -> Vec<Place> {
        iter::from_fn(|| connection.take()).collect()
    }

    #[test]
    fn one_client_cannot_have_more_than_its_share_on_any_number_of_connections() {
        let places = RequestPlaces::default();
        let held: Vec<_> = (0..1_000)
            .map(|_| fill(&places.connect(client(1))))
            .collect();
        assert_eq!(held[0].len(), STREAM_COUNT_MAX);
        assert_eq!(held[999].len(), STREAM_COUNT_MIN);
        let (all, _) = places.counts();
        assert!(
            all <= COUNT_PER_CLIENT_MAX + 1_000 * STREAM_COUNT_MIN,
            "{all}"
        );
        let other = places.connect(client(2));
        assert_eq!(fill(&other).len(), STREAM_COUNT_MAX, "others lose nothing");
    }

    #[test]
    fn many_clients_share_and_each_connection_keeps_the_minimum() {
        let places = RequestPlaces::default();
        let held: Vec<_> = (0..10_000)
            .map(|number| fill(&places.connect(client(number))))
            .collect();
        let (all, _) = places.counts();
        assert!(all <= COUNT_MAX + 10_000 * STREAM_COUNT_MIN, "{all}");
        assert_eq!(held[9_999].len(), STREAM_COUNT_MIN);
        let proxy = places.connect(None);
        let of_proxy: Vec<_> = (0..STREAM_COUNT_MAX).map_while(|_| proxy.take()).collect();
        assert_eq!(of_proxy.len(), STREAM_COUNT_MAX);
    }

    #[test]
    fn nothing_is_left_of_connections_that_ended() {
        let places = RequestPlaces::default();
        let [one, same, other] = [1, 1, 2].map(|number| places.connect(client(number)));
        let held = [fill(&one), fill(&same)];
        drop((one, other));
        assert_eq!(places.counts(), (2 * STREAM_COUNT_MAX, 1));
        drop((held, same));
        assert_eq!(places.counts(), (0, 0));
    }
}
