//! The limits of requests, and the order in which they are asked.

use std::{
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use governor::clock::Clock;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    Limit, LimitConfig, LimitMetrics, Refusal, TableLabel,
    client_rates::{Bucket, ClientRates, Multiples, owner_hash},
    rate::{Allowance, Rate},
};

/// How many times as much as a client networks may PUT and GET.
///
/// A /24 of hosts, or a /48 with a /64 to each machine, carries 16 times the 2,000 endpoints of one
/// address. A provider's /32 has 65,536 sites, yet whoever fills it alone must not get all of what
/// the node takes: 64 × 20 PUTs a second are a quarter of it by default.
const REQUEST_MULTIPLES: Multiples = [1, 16, 64];

/// How many times as many new keys as a client networks may bring. They stay for as long as packets
/// are kept, and one client may fill a tenth of the default capacity: no network may fill it all.
const NEW_KEY_MULTIPLES: Multiples = [1, 4, 8];

/// Whose bucket it is that nobody has alone.
const EVERYBODY: u64 = 1;

const SECOND: u64 = 1;
const MINUTE: u64 = 60;
const HOUR: u64 = 3_600;

/// When a linearizable read may be tried again, in seconds: the leader answers those that wait in
/// less, all at once.
const LINEARIZABLE_RETRY_SECS: u64 = 1;

/// What a PUT would change, as far as the local replica knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change<'a> {
    /// It brings a key that is not stored.
    NewKey,
    /// It brings a packet of a key that is stored. Only a packet that the key's owner has signed and
    /// that is newer than the stored one is one: with others, which everybody can send, strangers
    /// would use up what the owner may.
    Key(&'a [u8; 32]),
    /// It brings a packet that is no newer than the stored one.
    Nothing,
}

/// The limits of requests.
///
/// A request takes a token from every bucket that it meets or from none: first those of its client
/// and the networks around it, narrow before wide, and those that everybody shares last. So what is
/// refused takes nothing from others, and a client that waits as it is told finds what it needs.
pub(crate) struct RequestRates<C: Clock> {
    puts: ClientRates<C>,
    gets: ClientRates<C>,
    new_keys: ClientRates<C>,
    keys: Rate<C>,
    key_seed: u64,
    total_new_keys: Rate<C>,
    total_puts: Rate<C>,
    total_gets: Rate<C>,
    linearizable_reads: Arc<Semaphore>,
    metrics: LimitMetrics,
}

impl<C: Clock + Clone> RequestRates<C> {
    pub(crate) fn new(config: &LimitConfig, metrics: &LimitMetrics, clock: &C) -> Self {
        let slots = config.client_count_max;
        let forgotten = |table| metrics.forgotten_total.of(table).clone();
        let of_clients = |allowance, multiples, limits, table| {
            let forgotten = forgotten(table);
            ClientRates::new(allowance, multiples, limits, slots, &forgotten, clock)
        };
        let total = |burst, per_sec| {
            let allowance = Allowance::new(burst, per_sec, SECOND);
            Rate::new(allowance, 1, forgotten(TableLabel::Totals), clock.clone())
        };
        let puts = Allowance::new(config.put_burst, config.put_per_sec, SECOND);
        let gets = Allowance::new(config.get_burst, config.get_per_sec, SECOND);
        let new_keys = Allowance::new(config.new_key_burst, config.new_key_per_hour, HOUR);
        let keys = Allowance::new(config.key_put_burst, config.key_put_per_min, MINUTE);
        let put_limits = [Limit::ClientPuts, Limit::NetworkPuts];
        let get_limits = [Limit::ClientGets, Limit::NetworkGets];
        let key_limits = [Limit::ClientNewKeys, Limit::NetworkNewKeys];
        let rates = Self {
            puts: of_clients(puts, REQUEST_MULTIPLES, put_limits, TableLabel::Puts),
            gets: of_clients(gets, REQUEST_MULTIPLES, get_limits, TableLabel::Gets),
            new_keys: of_clients(new_keys, NEW_KEY_MULTIPLES, key_limits, TableLabel::NewKeys),
            keys: Rate::new(keys, slots, forgotten(TableLabel::Keys), clock.clone()),
            key_seed: RandomState::new().hash_one(()),
            total_new_keys: total(config.total_new_key_burst, config.total_new_key_per_sec),
            total_puts: total(config.total_put_burst, config.total_put_per_sec),
            total_gets: total(config.total_get_burst, config.total_get_per_sec),
            linearizable_reads: Arc::new(Semaphore::new(config.linearizable_read_count_max)),
            metrics: metrics.clone(),
        };
        for (table, size) in rates.sizes() {
            metrics.set_memory(table, size);
        }
        rates
    }

    /// Whether this client may make a PUT, before its body is read. What it would change matters
    /// for how long a client that may not has to wait.
    pub(crate) fn check_put(&self, client: IpAddr, change: Change<'_>) -> Result<(), Refusal> {
        self.take(self.puts.buckets(client), self.change(client, change))
    }

    /// Whether this client may have its packet stored, now that it is known to be one.
    pub(crate) fn check_change(&self, client: IpAddr, change: Change<'_>) -> Result<(), Refusal> {
        self.take(self.change(client, change), [])
    }

    /// Whether this client may make a GET.
    pub(crate) fn check_get(&self, client: IpAddr) -> Result<(), Refusal> {
        let total = total(&self.total_gets, Limit::TotalGets);
        self.take(self.gets.buckets(client).chain([total]), [])
    }

    /// Has one more read wait for the leader.
    pub(crate) fn admit_linearizable(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        let permit = self.linearizable_reads.clone().try_acquire_owned();
        permit.map_err(|_| {
            let wait = Duration::from_secs(LINEARIZABLE_RETRY_SECS);
            self.refuse(Limit::LinearizableReads, wait)
        })
    }

    fn change<'a>(
        &'a self,
        client: IpAddr,
        change: Change<'_>,
    ) -> impl Iterator<Item = Bucket<'a, C>> + Clone {
        let of_key = match change {
            Change::Key(key) => Some(Bucket {
                rate: &self.keys,
                hash: owner_hash(key, self.key_seed),
                limit: Limit::KeyPuts,
            }),
            _ => None,
        };
        let of_new = (change == Change::NewKey).then(|| {
            let total = total(&self.total_new_keys, Limit::TotalNewKeys);
            self.new_keys.buckets(client).chain([total])
        });
        of_key
            .into_iter()
            .chain(of_new.into_iter().flatten())
            .chain([total(&self.total_puts, Limit::TotalPuts)])
    }

    /// Takes a token from each of `buckets`, or none and says how long until all of them, and those
    /// that come `later`, have one.
    fn take<'a>(
        &self,
        buckets: impl Iterator<Item = Bucket<'a, C>> + Clone,
        later: impl IntoIterator<Item = Bucket<'a, C>>,
    ) -> Result<(), Refusal>
    where
        C: 'a,
    {
        let mut left = buckets.clone();
        let mut taken = 0;
        while let Some(bucket) = left.next() {
            if let Err(wait) = bucket.rate.take(bucket.hash) {
                for taken in buckets.take(taken) {
                    taken.rate.give_back(taken.hash);
                }
                let others = left.chain(later);
                let waits = others.map(|bucket| bucket.rate.peek(bucket.hash));
                return Err(self.refuse(bucket.limit, waits.fold(wait, Duration::max)));
            }
            taken += 1;
        }
        Ok(())
    }

    fn refuse(&self, limit: Limit, wait: Duration) -> Refusal {
        self.metrics.refused_total.of(limit).inc();
        let retry_after_secs = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Refusal {
            limit,
            retry_after_secs: retry_after_secs.max(1),
        }
    }

    /// How much memory the tables take, in bytes.
    fn sizes(&self) -> [(TableLabel, usize); 5] {
        let totals = [&self.total_new_keys, &self.total_puts, &self.total_gets];
        [
            (TableLabel::Puts, self.puts.size()),
            (TableLabel::Gets, self.gets.size()),
            (TableLabel::NewKeys, self.new_keys.size()),
            (TableLabel::Keys, self.keys.size()),
            (TableLabel::Totals, totals.map(Rate::size).iter().sum()),
        ]
    }
}

/// The bucket that everybody shares.
fn total<C: Clock>(rate: &Rate<C>, limit: Limit) -> Bucket<'_, C> {
    Bucket {
        rate,
        hash: EVERYBODY,
        limit,
    }
}

#[cfg(test)]
#[path = "request_rates_tests.rs"]
mod tests;
