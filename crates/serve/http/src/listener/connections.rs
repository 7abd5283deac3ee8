//! Limits the open connections, and evicts idle ones for new ones.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use quorate_limit::ClientNetwork;
use tokio_util::sync::CancellationToken;

use super::open_connections::{ConnectionId, OpenConnections};

/// Returns whether an address is exempt from the limits of connections per client and network.
pub type IsExempt = Arc<dyn Fn(IpAddr) -> bool + Send + Sync>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// How many connections may be open.
    pub connection_count_max: usize,
    /// How many of them one client may have: an IPv4 address or an IPv6 /64. The networks around it
    /// may have [more](quorate_limit::NetworkLevel::place_count_max).
    ///
    /// With this limit, a new connection of a client or network at its limit evicts the connection
    /// of the same that was idle the longest. If the maximum of all is open, it evicts the one that was idle
    /// the longest of all. It is rejected only if none is idle. Without this limit, nothing is
    /// evicted, and connections over the maximum are rejected.
    pub connection_count_per_client_max: Option<usize>,
    /// How long a shutdown waits for open connections.
    pub drain_timeout: Duration,
}

/// The open connections of one listener, or of several that share the limits.
#[derive(Clone)]
pub struct Connections(Arc<Shared>);

struct Shared {
    limits: ConnectionLimits,
    is_exempt: IsExempt,
    open: Mutex<OpenConnections>,
}

impl Connections {
    /// No open connections yet.
    pub fn new(limits: ConnectionLimits) -> Self {
        Self::with_exempt(limits, Arc::new(|_| false))
    }

    /// No open connections yet. Exempt addresses have no limit per client or network.
    pub fn with_exempt(limits: ConnectionLimits, is_exempt: IsExempt) -> Self {
        Self(Arc::new(Shared {
            limits,
            is_exempt,
            open: Mutex::default(),
        }))
    }

    pub fn limits(&self) -> &ConnectionLimits {
        &self.0.limits
    }

    /// Admits a connection from `address`. Returns `None` if it must be rejected.
    pub fn admit(&self, address: SocketAddr) -> Option<ConnectionSlot> {
        let mut open = self.0.lock();
        let has_displaced = self.0.make_room(&mut open, address.ip())?;
        let evicted = CancellationToken::new();
        // The connections of a proxy are those of many clients, and must not count for its
        // neighbours.
        let client = Some(address.ip()).filter(|client| !(self.0.is_exempt)(*client));
        Some(ConnectionSlot {
            address,
            id: open.insert(client, evicted.clone()),
            evicted,
            has_displaced,
            connections: self.clone(),
        })
    }

    /// How many connections the client at `address` has.
    pub fn count_of(&self, address: IpAddr) -> usize {
        let open = self.0.lock();
        let client = ClientNetwork::all_of(address).next();
        client.map_or(0, |client| open.counts().count(client))
    }

    /// Whether more than half of the maximum is open, so that idle connections should be closed
    /// soon (RFC 7766, section 6.2.3).
    pub fn is_crowded(&self) -> bool {
        self.0.lock().count() > self.limits().connection_count_max / 2
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, OpenConnections> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes room for one more connection from `address`. Returns whether another connection was
    /// evicted, or `None` if there is no room.
    fn make_room(&self, open: &mut OpenConnections, address: IpAddr) -> Option<bool> {
        let has_displaced = self.make_room_of_client(open, address)?;
        if has_displaced || open.count() < self.limits.connection_count_max {
            return Some(has_displaced);
        }
        self.limits.connection_count_per_client_max?;
        open.evict_oldest().then_some(true)
    }

    fn make_room_of_client(&self, open: &mut OpenConnections, address: IpAddr) -> Option<bool> {
        let Some(per_client_max) = self.limits.connection_count_per_client_max else {
            return Some(false);
        };
        let count_max = self.limits.connection_count_max;
        let full = open
            .counts()
            .full_network(address, per_client_max, count_max);
        match full {
            Some(full) if !(self.is_exempt)(address) => open.evict_oldest_of(full).then_some(true),
            _ => Some(false),
        }
    }
}

/// The entry of an open connection, until it is dropped or evicted.
pub struct ConnectionSlot {
    address: SocketAddr,
    id: ConnectionId,
    evicted: CancellationToken,
    /// Whether another connection was evicted for this one.
    pub(crate) has_displaced: bool,
    connections: Connections,
}

impl ConnectionSlot {
    /// The address of the peer.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn connections(&self) -> &Connections {
        &self.connections
    }

    /// Records that the connection was used now: its idle time starts again.
    pub fn touch(&self) {
        self.connections.0.lock().touch(self.id);
    }

    /// Marks the connection as busy. It is not idle and not evicted until all guards are dropped.
    pub fn busy(self: &Arc<Self>) -> BusyGuard {
        self.connections.0.lock().begin(self.id);
        BusyGuard(self.clone())
    }

    /// Counts the connection for the client at `address`, because the peer is its proxy. Fails if
    /// that client, or a network around it, has the maximum and none of these connections is idle.
    pub fn assign(&self, address: IpAddr) -> Result<(), TooManyConnections> {
        let shared = &self.connections.0;
        let mut open = shared.lock();
        let room = shared.make_room_of_client(&mut open, address);
        room.ok_or(TooManyConnections)?;
        open.assign(self.id, address);
        Ok(())
    }

    /// Cancelled when the connection is evicted and must end.
    pub fn evicted(&self) -> &CancellationToken {
        &self.evicted
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.connections.0.lock().remove(self.id);
    }
}

/// Keeps a connection busy until it is dropped.
pub struct BusyGuard(Arc<ConnectionSlot>);

impl Drop for BusyGuard {
    fn drop(&mut self) {
        self.0.connections.0.lock().end(self.0.id);
    }
}

/// A client, or a network around it, has the maximum number of connections, and none of them is
/// idle.
#[derive(Debug, thiserror::Error)]
#[error(
    "the client or its network has the maximum number of connections, and none of them is idle"
)]
pub struct TooManyConnections;

#[cfg(test)]
#[path = "connections_tests.rs"]
mod tests;
