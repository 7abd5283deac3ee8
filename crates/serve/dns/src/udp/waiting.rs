//! Datagrams that wait for the DHT.

use std::{
    net::{IpAddr, UdpSocket},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use quorate_limit::PlaceCounts;
use quorate_packet::PublicKey;
use tokio::runtime::Handle;

use super::{AddressFamily, Destination};
use crate::{DnsClient, Responder};

/// How many datagrams may wait. Each has up to 4 KiB and a task. More are answered SERVFAIL, and
/// resolvers ask the next server of the zone.
pub(crate) const WAITING_COUNT_MAX: usize = 1024;

/// How many of them one client may have: a resolver asks for many keys. Networks may have more, as
/// [`PlaceCounts`] says.
pub(crate) const WAITING_PER_CLIENT_MAX: usize = 128;

/// The places for waiting datagrams, which all threads share.
#[derive(Debug, Clone)]
pub(super) struct WaitingPlaces {
    counts: Arc<Mutex<PlaceCounts>>,
    runtime: Handle,
}

/// A place of a client, which is free when this is dropped.
pub(super) struct WaitingPlace {
    places: WaitingPlaces,
    client: IpAddr,
}

/// A query that waits.
pub(super) struct WaitingQuery<F: AddressFamily> {
    key: PublicKey,
    message: Vec<u8>,
    client: DnsClient,
    destination: Destination<F>,
}

impl WaitingPlaces {
    /// To be called in a runtime, in which the datagrams wait.
    pub(super) fn new() -> Self {
        Self {
            counts: Arc::default(),
            runtime: Handle::current(),
        }
    }

    /// A place for this client, if it may have one more.
    pub(super) fn place(&self, client: IpAddr) -> Option<WaitingPlace> {
        let mut counts = self.lock();
        let full = counts.full_network(client, WAITING_PER_CLIENT_MAX, WAITING_COUNT_MAX);
        if full.is_some() || counts.total() >= WAITING_COUNT_MAX {
            return None;
        }
        counts.add(client);
        drop(counts);
        Some(WaitingPlace {
            places: self.clone(),
            client,
        })
    }

    fn lock(&self) -> MutexGuard<'_, PlaceCounts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WaitingPlace {
    /// Answers this query when the DHT has answered, or the deadline has passed.
    pub(super) fn answer<F: AddressFamily>(
        self,
        query: WaitingQuery<F>,
        socket: &Arc<UdpSocket>,
        responder: &Arc<Responder>,
    ) {
        let (socket, responder) = (socket.clone(), responder.clone());
        let runtime = self.places.runtime.clone();
        runtime.spawn(async move {
            let _place = self;
            let WaitingQuery {
                key,
                message,
                client,
                destination,
            } = query;
            responder.look_up(&key, &client).await;
            let mut answer = Vec::new();
            if responder.respond(&message, &client, &mut answer).is_some()
                && let Err(error) = destination.send(&socket, &answer)
            {
                tracing::debug!(%error, "a datagram could not be sent");
            }
        });
    }
}

impl Drop for WaitingPlace {
    fn drop(&mut self) {
        self.places.lock().remove(self.client);
    }
}

impl<F: AddressFamily> WaitingQuery<F> {
    pub(super) fn new(
        key: PublicKey,
        message: &[u8],
        client: DnsClient,
        destination: &Destination<F>,
    ) -> Self {
        Self {
            key,
            message: message.to_vec(),
            client,
            destination: Destination {
                client: destination.client,
                source: destination.source,
            },
        }
    }
}
