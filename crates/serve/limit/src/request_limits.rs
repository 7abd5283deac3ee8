//! The current limits of requests, which can be replaced while the node runs.

use std::{net::IpAddr, sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use governor::clock::MonotonicClock;
use tokio::sync::OwnedSemaphorePermit;

use crate::{
    LimitConfig, LimitExceeded, LimitMetrics, PutEffect, TableLabel, request_rates::RequestRates,
};

/// The current limits of requests. Clones share them, so that a reload replaces them for all
/// handlers. The default is no limits.
#[derive(Clone, Default)]
pub struct RequestLimits(Arc<ArcSwapOption<RequestRates<MonotonicClock>>>);

impl RequestLimits {
    /// The limits of `config`, if it enables them.
    pub fn new(config: &LimitConfig, metrics: &LimitMetrics) -> Self {
        let limits = Self::default();
        limits.replace(config, metrics);
        limits
    }

    /// Replaces the limits by those of `config`, for all later requests. All buckets start full.
    pub fn replace(&self, config: &LimitConfig, metrics: &LimitMetrics) {
        for table in [
            TableLabel::Puts,
            TableLabel::Gets,
            TableLabel::NewKeys,
            TableLabel::Keys,
            TableLabel::IdleKeys,
            TableLabel::Queries,
            TableLabel::Lookups,
            TableLabel::Totals,
        ] {
            metrics.set_memory(table, 0);
        }
        let rates = config
            .enabled
            .then(|| RequestRates::new(config, metrics, &MonotonicClock));
        self.0.store(rates.map(Arc::new));
    }

    /// Checks whether the client at this address may send a PUT with this effect. Call it first,
    /// before the body is read.
    pub fn check_put(&self, client: IpAddr, change: PutEffect<'_>) -> Result<(), LimitExceeded> {
        self.check(|rates| rates.check_put(client, change))
    }

    /// Checks whether the client at this address may send the cluster a packet with this effect.
    /// Call it for packets with a valid signature, and only if this node does not know the outcome
    /// by itself: others take nothing that clients share.
    pub fn check_change(&self, client: IpAddr, change: PutEffect<'_>) -> Result<(), LimitExceeded> {
        self.check(|rates| rates.check_change(client, change))
    }

    /// Checks whether the client at this address may send a GET.
    pub fn check_get(&self, client: IpAddr) -> Result<(), LimitExceeded> {
        self.check(|rates| rates.check_get(client))
    }

    /// Checks whether the client at this address may send a DNS query over HTTPS. If so, the query
    /// is counted, and otherwise nothing is.
    pub fn check_query(&self, client: IpAddr) -> Result<(), LimitExceeded> {
        self.check(|rates| rates.check_query(client))
    }

    /// Checks whether the client at this address may cause a lookup in the DHT.
    pub fn check_lookup(&self, client: IpAddr) -> Result<(), LimitExceeded> {
        self.check(|rates| rates.check_lookup(client))
    }

    /// Counts a DNS query over TCP, TLS or QUIC from this address. Returns how long the connection
    /// must wait before it reads the next query: zero as long as the bursts of the client and of
    /// the networks around it last, and 3 s at most. The query itself is answered.
    ///
    /// All queries of a client count, whichever connection they came over, also those over HTTPS.
    /// So if each connection waits for the returned time, together they get the client's rate.
    /// Queries from this machine and from `limit.dns_exempt_networks` never wait.
    pub fn charge_query(&self, client: IpAddr) -> Duration {
        let rates = self.0.load();
        let rates = rates.as_ref();
        rates.map_or(Duration::ZERO, |rates| rates.charge_query(client))
    }

    /// Admits one more read that waits for the leader. The read counts until the permit is dropped.
    /// Without limits there is no permit.
    pub fn admit_linearizable(&self) -> Result<Option<OwnedSemaphorePermit>, LimitExceeded> {
        self.check(|rates| rates.admit_linearizable().map(Some))
    }

    /// Runs `check` on the limits. Without limits, everything is allowed.
    fn check<T: Default>(
        &self,
        check: impl FnOnce(&RequestRates<MonotonicClock>) -> Result<T, LimitExceeded>,
    ) -> Result<T, LimitExceeded> {
        let rates = self.0.load();
        rates
            .as_ref()
            .map_or(Ok(T::default()), |rates| check(rates))
    }
}
