//! The open connections, and the order in which they were last used.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
};

use quorate_limit::{ClientNetwork, PlaceCounts};
use tokio_util::sync::CancellationToken;

/// The id of a connection that is or was open.
pub(crate) type ConnectionId = u64;

/// When a connection was last used, as the number of uses of all connections until then.
type Age = u64;

/// The open connections. Idle ones are sorted by their last use, the one that was idle the longest
/// first.
#[derive(Default)]
pub(crate) struct OpenConnections {
    uses: u64,
    connections: HashMap<ConnectionId, OpenConnection>,
    idle: BTreeMap<Age, ConnectionId>,
    idle_by_network: BTreeSet<(ClientNetwork, Age, ConnectionId)>,
    counts: PlaceCounts,
}

struct OpenConnection {
    /// The address of the client, if the connection counts for it: not if it is exempt.
    client: Option<IpAddr>,
    evicted: CancellationToken,
    age: Age,
    /// How many operations are active on it. It is idle if none is.
    busy_count: usize,
}

impl OpenConnections {
    pub(crate) fn count(&self) -> usize {
        self.connections.len()
    }

    /// How many belong to each client and to each network.
    pub(crate) fn counts(&self) -> &PlaceCounts {
        &self.counts
    }

    /// Adds a connection, which is idle, and counts it for `client`.
    pub(crate) fn insert(
        &mut self,
        client: Option<IpAddr>,
        evicted: CancellationToken,
    ) -> ConnectionId {
        let age = self.next_use();
        let connection = OpenConnection {
            client,
            evicted,
            age,
            busy_count: 0,
        };
        self.connections.insert(age, connection);
        client.inspect(|client| self.counts.add(*client));
        self.set_idle(age, client, age);
        age
    }

    /// Removes a connection, unless it was evicted already.
    pub(crate) fn remove(&mut self, id: ConnectionId) -> Option<CancellationToken> {
        let connection = self.connections.remove(&id)?;
        self.unset_idle(id, connection.client, connection.age);
        (connection.client).inspect(|client| self.counts.remove(*client));
        Some(connection.evicted)
    }

    /// Evicts the connection that was idle the longest. Returns false if none is idle.
    pub(crate) fn evict_oldest(&mut self) -> bool {
        let oldest = self.idle.first_key_value().map(|(_, id)| *id);
        self.evict(oldest)
    }

    /// The same for the connections of a client or network.
    pub(crate) fn evict_oldest_of(&mut self, network: ClientNetwork) -> bool {
        let all = (network, Age::MIN, ConnectionId::MIN)..=(network, Age::MAX, ConnectionId::MAX);
        let oldest = self.idle_by_network.range(all).next();
        self.evict(oldest.map(|(_, _, id)| *id))
    }

    fn evict(&mut self, id: Option<ConnectionId>) -> bool {
        let evicted = id.and_then(|id| self.remove(id));
        evicted.inspect(CancellationToken::cancel).is_some()
    }

    /// Records that a connection was used now.
    pub(crate) fn touch(&mut self, id: ConnectionId) {
        self.begin(id);
        self.end(id);
    }

    /// Records the start of an operation on a connection. The connection is not idle until the
    /// [`end`](Self::end) of the operation.
    pub(crate) fn begin(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        connection.busy_count += 1;
        if connection.busy_count == 1 {
            let (client, age) = (connection.client, connection.age);
            self.unset_idle(id, client, age);
        }
    }

    /// Records the end of an operation on a connection.
    pub(crate) fn end(&mut self, id: ConnectionId) {
        let age = self.next_use();
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        connection.busy_count -= 1;
        connection.age = age;
        if connection.busy_count == 0 {
            let client = connection.client;
            self.set_idle(id, client, age);
        }
    }

    /// Counts a connection for `client`.
    pub(crate) fn assign(&mut self, id: ConnectionId, client: IpAddr) {
        self.begin(id);
        if let Some(connection) = self.connections.get_mut(&id) {
            let before = connection.client.replace(client);
            before.inspect(|before| self.counts.remove(*before));
            self.counts.add(client);
        }
        self.end(id);
    }

    fn next_use(&mut self) -> Age {
        self.uses += 1;
        self.uses
    }

    fn set_idle(&mut self, id: ConnectionId, client: Option<IpAddr>, age: Age) {
        self.idle.insert(age, id);
        let networks = client.into_iter().flat_map(ClientNetwork::all_of);
        let networks = networks.map(|network| (network, age, id));
        self.idle_by_network.extend(networks);
    }

    fn unset_idle(&mut self, id: ConnectionId, client: Option<IpAddr>, age: Age) {
        self.idle.remove(&age);
        for network in client.into_iter().flat_map(ClientNetwork::all_of) {
            self.idle_by_network.remove(&(network, age, id));
        }
    }

    /// Whether no data of any connection is left.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.connections.is_empty()
            && self.idle.is_empty()
            && self.idle_by_network.is_empty()
            && self.counts.is_empty()
    }
}
