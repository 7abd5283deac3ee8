//! The limits of requests, and the order in which they are checked.

use std::{
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use governor::clock::Clock;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    Limit, LimitConfig, LimitExceeded, LimitMetrics, Networks, TableLabel,
    client_network::NetworkLevel,
    client_rates::{Bucket, ClientRates, NetworkMultiples, keyed_hash},
    paced_rates::PacedRates,
    rate::{Rate, TokenRate},
};

/// The PUTs and GETs that networks may send, as multiples of a client's.
const REQUEST_MULTIPLES: NetworkMultiples = [
    NetworkLevel::Client.multiple(),
    NetworkLevel::Site.multiple(),
    NetworkLevel::Provider.multiple(),
];

/// The new keys that networks may publish, as multiples of a client's. Keys stay as long as packets
/// are kept, and one client may fill a tenth of the default capacity: no network may fill all of
/// it.
const NEW_KEY_MULTIPLES: NetworkMultiples = [1, 4, 8];

/// The hash of the bucket that all clients share.
const SHARED_BUCKET: u64 = 1;

const SECOND: u64 = 1;
const MINUTE: u64 = 60;
const HOUR: u64 = 3_600;

/// When a linearizable read may be retried, in seconds: the leader answers all waiting reads
/// together in less time.
const LINEARIZABLE_RETRY_SECS: u64 = 1;

/// A key whose stored packet is at least this old is idle: a node always has room for its next one.
/// An endpoint publishes every 300 s, and the rest is for clocks that differ.
///
/// Each key is idle once in this time, because a stored packet starts it again, and so does each
/// PUT in the table of idle keys: many PUTs of one key at the same moment all find an old packet.
/// So the million keys of the default capacity send at most 1,000,000 / 250 s = 4,000 such PUTs per
/// second, whoever owns them. That is what others leave of the default of 10,000 PUTs per second.
const IDLE_AGE: Duration = Duration::from_secs(IDLE_SECS);
const IDLE_SECS: u64 = 250;

/// How many PUTs of a key that is idle count as such in a burst: those that the cluster could not
/// store are repeated.
const IDLE_BURST: u32 = 3;

/// What new keys and keys that are not idle may use of the PUTs of all clients, in tenths. A
/// stranger can own any number of such keys, and each may publish 30 times a minute: 10,000 of them
/// are enough to use all of this, and they get no more.
const BUSY_TENTHS: u32 = 5;

/// What PUTs that change no packet may use of the PUTs of all clients, in tenths. A million keys
/// that are refreshed with the same bytes need 13 per second (decision 8).
const UNCHANGED_TENTHS: u32 = 1;

/// What a PUT would change, as far as the local replica knows. A PUT whose outcome this node knows
/// without asking the cluster has no effect, and takes nothing that clients share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutEffect<'a> {
    /// Its key is not stored.
    NewKey,
    /// It replaces the packet of a stored key. Only a packet that the key's owner has signed and
    /// that is newer than the stored one does. Everybody can send other packets: if those counted,
    /// strangers could use up the owner's limit.
    Key {
        /// The key.
        key: &'a [u8; 32],
        /// How long ago the cluster received the stored packet.
        age: Duration,
    },
    /// Its packet is not newer than the stored one, and the cluster must be asked nevertheless: it
    /// records the receipt of identical bytes again, or only it can check the conditions.
    Unchanged,
}

impl PutEffect<'_> {
    /// The same for a packet that the cluster may reject. It gets no place that is kept free for idle
    /// keys, because the stored packet, and so its age, may stay.
    pub fn busy(self) -> Self {
        match self {
            Self::Key { key, .. } => Self::Key {
                key,
                age: Duration::ZERO,
            },
            other => other,
        }
    }
}

/// The limits of requests.
///
/// A request takes a token from every bucket that applies to it, or from none. The buckets of its
/// client and the networks around it are checked first, narrowest first, and those that all clients
/// share last. So a rejected request takes nothing from others, and a client that waits for the
/// time in the response then finds the tokens that it needs.
pub(crate) struct RequestRates<C: Clock> {
    puts: ClientRates<C>,
    gets: ClientRates<C>,
    new_keys: ClientRates<C>,
    keys: Rate<C>,
    idle_keys: Rate<C>,
    key_seed: u64,
    total_new_keys: Rate<C>,
    total_puts: Rate<C>,
    /// The share of new keys and keys that are not idle.
    total_busy_puts: Rate<C>,
    /// The share of PUTs that change no packet.
    total_unchanged_puts: Rate<C>,
    total_gets: Rate<C>,
    lookups: ClientRates<C>,
    total_lookups: Rate<C>,
    linearizable_reads: Arc<Semaphore>,
    queries: PacedRates<C>,
    /// Clients whose DNS queries have no limits, in addition to this machine.
    query_exempt: Networks,
    metrics: LimitMetrics,
}

impl<C: Clock + Clone> RequestRates<C> {
    pub(crate) fn new(config: &LimitConfig, metrics: &LimitMetrics, clock: &C) -> Self {
        let slots = config.client_count_max;
        let forgotten = |table| metrics.forgotten_total.of(table).clone();
        let of_clients = |rate, multiples, limits, table| {
            let forgotten = forgotten(table);
            ClientRates::new(rate, multiples, limits, slots, &forgotten, clock)
        };
        let total_of = |rate| Rate::new(rate, 1, forgotten(TableLabel::Totals), clock.clone());
        let total = |burst, per_sec| total_of(TokenRate::new(burst, per_sec, SECOND));
        let total_puts = TokenRate::new(config.total_put_burst, config.total_put_per_sec, SECOND);
        let puts = TokenRate::new(config.put_burst, config.put_per_sec, SECOND);
        let gets = TokenRate::new(config.get_burst, config.get_per_sec, SECOND);
        let new_keys = TokenRate::new(config.new_key_burst, config.new_key_per_hour, HOUR);
        let keys = TokenRate::new(config.key_put_burst, config.key_put_per_min, MINUTE);
        let lookups = TokenRate::new(config.lookup_burst, config.lookup_per_sec, SECOND);
        let put_limits = [Limit::ClientPuts, Limit::NetworkPuts];
        let get_limits = [Limit::ClientGets, Limit::NetworkGets];
        let key_limits = [Limit::ClientNewKeys, Limit::NetworkNewKeys];
        let lookup_limits = [Limit::ClientLookups, Limit::NetworkLookups];
        let queries = TokenRate::new(config.query_burst, config.query_per_sec, SECOND);
        let rates = Self {
            queries: PacedRates::new(queries, slots, &forgotten(TableLabel::Queries), clock),
            query_exempt: config.dns_exempt_networks.clone(),
            puts: of_clients(puts, REQUEST_MULTIPLES, put_limits, TableLabel::Puts),
            gets: of_clients(gets, REQUEST_MULTIPLES, get_limits, TableLabel::Gets),
            new_keys: of_clients(new_keys, NEW_KEY_MULTIPLES, key_limits, TableLabel::NewKeys),
            keys: Rate::new(keys, slots, forgotten(TableLabel::Keys), clock.clone()),
            idle_keys: Rate::new(
                TokenRate::new(IDLE_BURST, 1, IDLE_SECS),
                slots,
                forgotten(TableLabel::IdleKeys),
                clock.clone(),
            ),
            key_seed: RandomState::new().hash_one(()),
            total_new_keys: total(config.total_new_key_burst, config.total_new_key_per_sec),
            total_puts: total_of(total_puts),
            total_busy_puts: total_of(total_puts.tenths(BUSY_TENTHS)),
            total_unchanged_puts: total_of(total_puts.tenths(UNCHANGED_TENTHS)),
            total_gets: total(config.total_get_burst, config.total_get_per_sec),
            lookups: of_clients(
                lookups,
                REQUEST_MULTIPLES,
                lookup_limits,
                TableLabel::Lookups,
            ),
            total_lookups: total(config.total_lookup_burst, config.total_lookup_per_sec),
            linearizable_reads: Arc::new(Semaphore::new(config.linearizable_read_count_max)),
            metrics: metrics.clone(),
        };
        for (table, size) in rates.sizes() {
            metrics.set_memory(table, size);
        }
        rates
    }

    /// Checks whether this client may send a PUT, before its body is read. `change` only affects
    /// how long a rejected client has to wait.
    pub(crate) fn check_put(
        &self,
        client: IpAddr,
        change: PutEffect<'_>,
    ) -> Result<(), LimitExceeded> {
        self.take(
            self.puts.buckets(client),
            self.change_buckets(client, change),
        )
    }

    /// Checks whether this client may store its packet, after the packet is verified.
    pub(crate) fn check_change(
        &self,
        client: IpAddr,
        change: PutEffect<'_>,
    ) -> Result<(), LimitExceeded> {
        self.take(self.change_buckets(client, change), [])
    }

    /// Checks whether this client may send a GET.
    pub(crate) fn check_get(&self, client: IpAddr) -> Result<(), LimitExceeded> {
        let total = total(&self.total_gets, Limit::TotalGets);
        self.take(self.gets.buckets(client).chain([total]), [])
    }

    /// Checks whether this client may cause a lookup in the DHT.
    pub(crate) fn check_lookup(&self, client: IpAddr) -> Result<(), LimitExceeded> {
        let total = total(&self.total_lookups, Limit::TotalLookups);
        self.take(self.lookups.buckets(client).chain([total]), [])
    }

    /// Checks whether this client may send a DNS query. If so, the query is counted.
    pub(crate) fn check_query(&self, client: IpAddr) -> Result<(), LimitExceeded> {
        let wait = match self.is_query_exempt(client) {
            true => Duration::ZERO,
            false => self.queries.wait(client),
        };
        if !wait.is_zero() {
            return Err(self.exceeded(Limit::Queries, wait));
        }
        self.charge_query(client);
        Ok(())
    }

    /// Counts a DNS query, and returns how long to wait before the next is read.
    pub(crate) fn charge_query(&self, client: IpAddr) -> Duration {
        match self.is_query_exempt(client) {
            true => Duration::ZERO,
            false => self.queries.charge(client, 1),
        }
    }

    fn is_query_exempt(&self, client: IpAddr) -> bool {
        client.to_canonical().is_loopback() || self.query_exempt.contains(client)
    }

    /// Admits one more read that waits for the leader.
    pub(crate) fn admit_linearizable(&self) -> Result<OwnedSemaphorePermit, LimitExceeded> {
        let permit = self.linearizable_reads.clone().try_acquire_owned();
        permit.map_err(|_| {
            let wait = Duration::from_secs(LINEARIZABLE_RETRY_SECS);
            self.exceeded(Limit::LinearizableReads, wait)
        })
    }

    /// The buckets of a change.
    fn change_buckets<'a>(
        &'a self,
        client: IpAddr,
        change: PutEffect<'_>,
    ) -> impl Iterator<Item = Bucket<'a, C>> + Clone {
        let (of_key, of_idle_key) = match change {
            PutEffect::Key { key, age } => {
                let hash = keyed_hash(key, self.key_seed);
                let bucket = |rate| Bucket {
                    rate,
                    hash,
                    limit: Limit::KeyPuts,
                };
                let is_idle = age >= IDLE_AGE && self.idle_keys.peek(hash).is_zero();
                let of_idle_key = is_idle.then(|| bucket(&self.idle_keys));
                (Some(bucket(&self.keys)), of_idle_key)
            }
            PutEffect::NewKey | PutEffect::Unchanged => (None, None),
        };
        let of_new = (change == PutEffect::NewKey).then(|| {
            let total = total(&self.total_new_keys, Limit::TotalNewKeys);
            self.new_keys.buckets(client).chain([total])
        });
        let share = match change {
            PutEffect::Key { .. } if of_idle_key.is_some() => None,
            PutEffect::Key { .. } | PutEffect::NewKey => {
                Some(total(&self.total_busy_puts, Limit::TotalBusyPuts))
            }
            PutEffect::Unchanged => {
                let rate = &self.total_unchanged_puts;
                Some(total(rate, Limit::TotalUnchangedPuts))
            }
        };
        of_key
            .into_iter()
            .chain(of_idle_key)
            .chain(of_new.into_iter().flatten())
            .chain(share)
            .chain([total(&self.total_puts, Limit::TotalPuts)])
    }

    /// Takes a token from each of `buckets`. If one is empty, takes none, and fails with the time
    /// until all of them, and the `later` ones, have a token.
    fn take<'a>(
        &self,
        buckets: impl Iterator<Item = Bucket<'a, C>> + Clone,
        later: impl IntoIterator<Item = Bucket<'a, C>>,
    ) -> Result<(), LimitExceeded>
    where
        C: 'a,
    {
        let mut rest = buckets.clone();
        let mut taken = 0;
        while let Some(bucket) = rest.next() {
            if let Err(wait) = bucket.rate.take(bucket.hash) {
                for taken in buckets.take(taken) {
                    taken.rate.give_back(taken.hash);
                }
                let others = rest.chain(later);
                let waits = others.map(|bucket| bucket.rate.peek(bucket.hash));
                return Err(self.exceeded(bucket.limit, waits.fold(wait, Duration::max)));
            }
            taken += 1;
        }
        Ok(())
    }

    /// Counts a rejected request, and returns its error.
    fn exceeded(&self, limit: Limit, wait: Duration) -> LimitExceeded {
        self.metrics.refused_total.of(limit).inc();
        let retry_after_secs = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        LimitExceeded {
            limit,
            retry_after_secs: retry_after_secs.max(1),
        }
    }

    /// The memory that the tables take, in bytes.
    fn sizes(&self) -> [(TableLabel, usize); 8] {
        let totals = [
            &self.total_new_keys,
            &self.total_puts,
            &self.total_busy_puts,
            &self.total_unchanged_puts,
            &self.total_gets,
            &self.total_lookups,
        ];
        [
            (TableLabel::Puts, self.puts.size()),
            (TableLabel::Gets, self.gets.size()),
            (TableLabel::NewKeys, self.new_keys.size()),
            (TableLabel::Keys, self.keys.size()),
            (TableLabel::IdleKeys, self.idle_keys.size()),
            (TableLabel::Queries, self.queries.size()),
            (TableLabel::Lookups, self.lookups.size()),
            (TableLabel::Totals, totals.map(Rate::size).iter().sum()),
        ]
    }
}

/// The bucket that all clients share.
fn total<C: Clock>(rate: &Rate<C>, limit: Limit) -> Bucket<'_, C> {
    Bucket {
        rate,
        hash: SHARED_BUCKET,
        limit,
    }
}

#[cfg(test)]
#[path = "request_rates_tests.rs"]
mod tests;
