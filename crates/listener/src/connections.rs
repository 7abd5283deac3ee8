//! Which connections are open, and which one gives way.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use quorate_limit::Client;
use tokio_util::sync::CancellationToken;

/// What connections may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many may be open.
    pub connection_count_max: usize,
    /// How many of them one client may have, which is an IPv4 address or an IPv6 /64.
    ///
    /// With this bound nobody is refused: a client that has as many gets another for the one that
    /// it left idle the longest, and where all are open, the connection that was idle the longest
    /// of all gives way. Without it, a connection too many is refused.
    pub connection_count_per_client_max: Option<usize>,
    /// How long a shutdown waits for those that are open.
    pub drain_timeout: Duration,
}

/// The connections that are open, at one listener or at several that share the limits.
#[derive(Clone)]
pub struct Connections(Arc<Shared>);

struct Shared {
    limits: Limits,
    is_exempt: Box<dyn Fn(IpAddr) -> bool + Send + Sync>,
    open: Mutex<Open>,
}

/// What came of asking for a place.
#[derive(Debug)]
pub enum Admission {
    /// There was room.
    Free(Place),
    /// Another connection gave way.
    Displacing(Place),
    /// There is no room.
    Full,
}

impl Connections {
    /// None yet, within these limits.
    pub fn new(limits: Limits) -> Self {
        Self::with_exempt(limits, |_| false)
    }

    /// None yet. The bound of one client does not hold for those that are exempt.
    pub fn with_exempt(
        limits: Limits,
        is_exempt: impl Fn(IpAddr) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Shared {
            limits,
            is_exempt: Box::new(is_exempt),
            open: Mutex::default(),
        }))
    }

    /// The limits.
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// Gives a connection from `address` a place.
    pub fn admit(&self, address: SocketAddr) -> Admission {
        let limits = self.limits();
        let client = Client::from(address.ip());
        let mut open = self.0.lock();
        let mut displaced = None;
        if let Some(count_max) = limits.connection_count_per_client_max {
            if !(self.0.is_exempt)(address.ip()) && open.count_of(client) >= count_max {
                displaced = open.oldest_of(client);
            } else if open.by_age.len() >= limits.connection_count_max {
                displaced = open.oldest();
            }
        } else if open.by_age.len() >= limits.connection_count_max {
            return Admission::Full;
        }
        if let Some(age) = displaced {
            open.evict(age);
        }
        let evicted = CancellationToken::new();
        let place = Place {
            address,
            client,
            age: open.insert(client, evicted.clone()),
            evicted,
            connections: self.clone(),
        };
        match displaced {
            Some(_) => Admission::Displacing(place),
            None => Admission::Free(place),
        }
    }

    /// Whether more than half of the places are taken, so that none should be held for nothing
    /// (RFC 7766, section 6.2.3).
    pub fn is_crowded(&self) -> bool {
        self.0.lock().by_age.len() > self.limits().connection_count_max / 2
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Connections").field(self.limits()).finish()
    }
}

/// When a connection was last used: the count of uses of all connections by then.
type Age = u64;

/// The connections by age, the one that was idle the longest first.
#[derive(Default)]
struct Open {
    uses: Age,
    by_age: BTreeMap<Age, OpenConnection>,
    by_client: HashMap<Client, BTreeSet<Age>>,
}

struct OpenConnection {
    client: Client,
    evicted: CancellationToken,
}

impl Open {
    fn insert(&mut self, client: Client, evicted: CancellationToken) -> Age {
        self.uses += 1;
        self.by_age
            .insert(self.uses, OpenConnection { client, evicted });
        self.by_client.entry(client).or_default().insert(self.uses);
        self.uses
    }

    /// Takes out the connection of this age, if it has not given way.
    fn remove(&mut self, age: Age) -> Option<OpenConnection> {
        let connection = self.by_age.remove(&age)?;
        if let Some(ages) = self.by_client.get_mut(&connection.client) {
            ages.remove(&age);
            if ages.is_empty() {
                self.by_client.remove(&connection.client);
            }
        }
        Some(connection)
    }

    fn evict(&mut self, age: Age) {
        if let Some(connection) = self.remove(age) {
            connection.evicted.cancel();
        }
    }

    fn count_of(&self, client: Client) -> usize {
        self.by_client.get(&client).map_or(0, BTreeSet::len)
    }

    fn oldest_of(&self, client: Client) -> Option<Age> {
        self.by_client.get(&client)?.first().copied()
    }

    fn oldest(&self) -> Option<Age> {
        self.by_age.keys().next().copied()
    }
}

/// A connection's place among those that are open, which it has until it is dropped or gives way.
#[derive(Debug)]
pub struct Place {
    address: SocketAddr,
    client: Client,
    age: Age,
    evicted: CancellationToken,
    connections: Connections,
}

impl Place {
    /// The address of the other end.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All that are open.
    pub fn connections(&self) -> &Connections {
        &self.connections
    }

    /// Notes that the connection is used: of all, it was now idle for the shortest.
    pub fn touch(&mut self) {
        let mut open = self.connections.0.lock();
        if let Some(connection) = open.remove(self.age) {
            self.age = open.insert(self.client, connection.evicted);
        }
    }

    /// Cancelled when the connection has given way, and shall end.
    pub fn evicted(&self) -> &CancellationToken {
        &self.evicted
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.0.lock().remove(self.age);
    }
}

#[cfg(test)]
#[path = "connections_tests.rs"]
mod tests;
