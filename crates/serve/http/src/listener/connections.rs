//! Which connections are open, and which one gives way.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use quorate_limit::Client;
use tokio_util::sync::CancellationToken;

use super::open::{Id, Open};

/// Says for whom the bound of connections of one client does not hold.
pub type Exempt = Arc<dyn Fn(IpAddr) -> bool + Send + Sync>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many may be open.
    pub connection_count_max: usize,
    /// How many of them one client may have, which is an IPv4 address or an IPv6 /64.
    ///
    /// With this bound a client that has as many gets another for the one that it left idle the
    /// longest, and where all are open, the connection that was idle the longest of all gives way:
    /// only where none is idle is one too many refused. Without it, each is.
    pub connection_count_per_client_max: Option<usize>,
    /// How long a shutdown waits for those that are open.
    pub drain_timeout: Duration,
}

/// The connections that are open, at one listener or at several that share the limits.
#[derive(Clone)]
pub struct Connections(Arc<Shared>);

struct Shared {
    limits: Limits,
    is_exempt: Exempt,
    open: Mutex<Open>,
}

impl Connections {
    /// None yet, within these limits.
    pub fn new(limits: Limits) -> Self {
        Self::with_exempt(limits, Arc::new(|_| false))
    }

    /// None yet. The bound of one client does not hold for those that are exempt.
    pub fn with_exempt(limits: Limits, is_exempt: Exempt) -> Self {
        Self(Arc::new(Shared {
            limits,
            is_exempt,
            open: Mutex::default(),
        }))
    }

    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// Gives a connection from `address` a place, if there is one.
    pub fn admit(&self, address: SocketAddr) -> Option<Place> {
        let client = Client::from(address.ip());
        let mut open = self.0.lock();
        let has_displaced = self.0.make_room(&mut open, address.ip())?;
        let evicted = CancellationToken::new();
        Some(Place {
            address,
            id: open.insert(client, evicted.clone()),
            evicted,
            has_displaced,
            connections: self.clone(),
        })
    }

    /// Whether more than half of the places are taken, so that none should be held for nothing
    /// (RFC 7766, section 6.2.3).
    pub fn is_crowded(&self) -> bool {
        self.0.lock().count() > self.limits().connection_count_max / 2
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes room for one more, if it can, and says whether another connection gives way.
    fn make_room(&self, open: &mut Open, address: IpAddr) -> Option<bool> {
        let has_displaced = self.make_room_of_client(open, address)?;
        if has_displaced || open.count() < self.limits.connection_count_max {
            return Some(has_displaced);
        }
        self.limits.connection_count_per_client_max?;
        open.evict_oldest().then_some(true)
    }

    fn make_room_of_client(&self, open: &mut Open, address: IpAddr) -> Option<bool> {
        let client = Client::from(address);
        match self.limits.connection_count_per_client_max {
            Some(count_max) if open.count_of(client) >= count_max && !(self.is_exempt)(address) => {
                open.evict_oldest_of(client).then_some(true)
            }
            _ => Some(false),
        }
    }
}

/// A connection's place among those that are open, which it has until it is dropped or gives way.
pub struct Place {
    address: SocketAddr,
    id: Id,
    evicted: CancellationToken,
    /// Whether another connection gave way to this one.
    pub(crate) has_displaced: bool,
    connections: Connections,
}

impl Place {
    /// The address of the other end.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn connections(&self) -> &Connections {
        &self.connections
    }

    /// Notes that the connection is used: of all that are idle, it was so for the shortest.
    pub fn touch(&self) {
        self.connections.0.lock().touch(self.id);
    }

    /// Notes that something is done on the connection: it is not idle, and does not give way, until
    /// this and all others like it were dropped.
    pub fn busy(self: &Arc<Self>) -> Busy {
        self.connections.0.lock().begin(self.id);
        Busy(self.clone())
    }

    /// Counts the connection as one of the client at `address`, for whom the other end is a proxy.
    /// Fails if that client has as many as it may have, and none of them is idle.
    pub fn assign(&self, address: IpAddr) -> Result<(), TooMany> {
        let shared = &self.connections.0;
        let mut open = shared.lock();
        let room = shared.make_room_of_client(&mut open, address);
        room.ok_or(TooMany)?;
        open.assign(self.id, Client::from(address));
        Ok(())
    }

    /// Cancelled when the connection has given way, and shall end.
    pub fn evicted(&self) -> &CancellationToken {
        &self.evicted
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.0.lock().remove(self.id);
    }
}

/// Something that is done on a connection.
pub struct Busy(Arc<Place>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.connections.0.lock().end(self.0.id);
    }
}

/// A client has as many connections as it may have, and uses all of them.
#[derive(Debug, thiserror::Error)]
#[error("the client has as many connections as it may have, and uses all of them")]
pub struct TooMany;

#[cfg(test)]
#[path = "connections_tests.rs"]
mod tests;
