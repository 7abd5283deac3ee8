//! Which connections are open, and since when each is idle.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use quorate_limit::Client;
use tokio_util::sync::CancellationToken;

/// A connection that is or was open.
pub(crate) type Id = u64;

/// When a connection was last used: the count of uses of all connections by then.
type Age = u64;

/// The connections that are open. Those that are idle are in the order of their age, the one that was
/// idle the longest first.
#[derive(Default)]
pub(crate) struct Open {
    uses: u64,
    connections: HashMap<Id, OpenConnection>,
    idle: BTreeMap<Age, Id>,
    idle_by_client: BTreeSet<(Client, Age, Id)>,
    count_by_client: HashMap<Client, usize>,
}

struct OpenConnection {
    client: Client,
    evicted: CancellationToken,
    age: Age,
    /// How many things are done on it now. It is idle with none.
    busy_count: usize,
}

impl Open {
    pub(crate) fn count(&self) -> usize {
        self.connections.len()
    }

    /// How many of them are of `client`.
    pub(crate) fn count_of(&self, client: Client) -> usize {
        self.count_by_client.get(&client).copied().unwrap_or(0)
    }

    /// Takes in a connection, which is idle.
    pub(crate) fn insert(&mut self, client: Client, evicted: CancellationToken) -> Id {
        let age = self.next_use();
        let connection = OpenConnection {
            client,
            evicted,
            age,
            busy_count: 0,
        };
        self.connections.insert(age, connection);
        *self.count_by_client.entry(client).or_default() += 1;
        self.set_idle(age, client, age);
        age
    }

    /// Takes out a connection, if it has not given way.
    pub(crate) fn remove(&mut self, id: Id) -> Option<CancellationToken> {
        let connection = self.connections.remove(&id)?;
        self.unset_idle(id, connection.client, connection.age);
        self.leave(connection.client);
        Some(connection.evicted)
    }

    /// Has the connection that was idle the longest give way, if any is idle.
    pub(crate) fn evict_oldest(&mut self) -> bool {
        let oldest = self.idle.first_key_value().map(|(_, id)| *id);
        self.evict(oldest)
    }

    /// The same among those of `client`.
    pub(crate) fn evict_oldest_of(&mut self, client: Client) -> bool {
        let all = (client, Age::MIN, Id::MIN)..=(client, Age::MAX, Id::MAX);
        let oldest = self.idle_by_client.range(all).next();
        self.evict(oldest.map(|(_, _, id)| *id))
    }

    fn evict(&mut self, id: Option<Id>) -> bool {
        let evicted = id.and_then(|id| self.remove(id));
        evicted.inspect(CancellationToken::cancel).is_some()
    }

    /// Notes that a connection is used: of all that are idle, it was so for the shortest.
    pub(crate) fn touch(&mut self, id: Id) {
        self.begin(id);
        self.end(id);
    }

    /// Notes that something is done on a connection, which is not idle until that has come to its
    /// [`end`](Self::end).
    pub(crate) fn begin(&mut self, id: Id) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        connection.busy_count += 1;
        if connection.busy_count == 1 {
            let (client, age) = (connection.client, connection.age);
            self.unset_idle(id, client, age);
        }
    }

    /// Notes that something that was done on a connection is done.
    pub(crate) fn end(&mut self, id: Id) {
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

    /// Has a connection be that of `client`.
    pub(crate) fn assign(&mut self, id: Id, client: Client) {
        self.begin(id);
        if let Some(connection) = self.connections.get_mut(&id) {
            let before = std::mem::replace(&mut connection.client, client);
            self.leave(before);
            *self.count_by_client.entry(client).or_default() += 1;
        }
        self.end(id);
    }

    fn next_use(&mut self) -> Age {
        self.uses += 1;
        self.uses
    }

    fn set_idle(&mut self, id: Id, client: Client, age: Age) {
        self.idle.insert(age, id);
        self.idle_by_client.insert((client, age, id));
    }

    fn unset_idle(&mut self, id: Id, client: Client, age: Age) {
        self.idle.remove(&age);
        self.idle_by_client.remove(&(client, age, id));
    }

    /// Counts one less of `client`.
    fn leave(&mut self, client: Client) {
        if let Some(count) = self.count_by_client.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                self.count_by_client.remove(&client);
            }
        }
    }

    /// Whether nothing is kept of any connection.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.connections.is_empty()
            && self.idle.is_empty()
            && self.idle_by_client.is_empty()
            && self.count_by_client.is_empty()
    }
}
