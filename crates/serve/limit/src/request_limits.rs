//! The limits of requests that are in force.

use std::{net::IpAddr, sync::Arc};

use arc_swap::ArcSwapOption;
use governor::clock::MonotonicClock;
use tokio::sync::OwnedSemaphorePermit;

use crate::{Change, LimitConfig, LimitMetrics, Refusal, TableLabel, request_rates::RequestRates};

/// The limits of requests in force, shared by who asks them and who changes them. By default there
/// are none.
#[derive(Clone, Default)]
pub struct RequestLimits(Arc<ArcSwapOption<RequestRates<MonotonicClock>>>);

impl RequestLimits {
    /// Those that `config` asks for, if it does.
    pub fn new(config: &LimitConfig, metrics: &LimitMetrics) -> Self {
        let limits = Self::default();
        limits.replace(config, metrics);
        limits
    }

    /// Has those that `config` asks for be in force, for every request that comes later. They know
    /// no client yet.
    pub fn replace(&self, config: &LimitConfig, metrics: &LimitMetrics) {
        for table in [
            TableLabel::Puts,
            TableLabel::Gets,
            TableLabel::NewKeys,
            TableLabel::Keys,
            TableLabel::Totals,
        ] {
            metrics.set_memory(table, 0);
        }
        let rates = config
            .enabled
            .then(|| RequestRates::new(config, metrics, &MonotonicClock));
        self.0.store(rates.map(Arc::new));
    }

    /// Whether the client at this address may make a PUT that would change this. To be asked first,
    /// before its body is read.
    pub fn check_put(&self, client: IpAddr, change: Change<'_>) -> Result<(), Refusal> {
        self.ask(|rates| rates.check_put(client, change))
    }

    /// Whether the client at this address may have a packet stored that changes this. To be asked
    /// of packets with a true signature, and not of those that are stored already.
    pub fn check_change(&self, client: IpAddr, change: Change<'_>) -> Result<(), Refusal> {
        self.ask(|rates| rates.check_change(client, change))
    }

    /// Whether the client at this address may make a GET.
    pub fn check_get(&self, client: IpAddr) -> Result<(), Refusal> {
        self.ask(|rates| rates.check_get(client))
    }

    /// Leave for one more read to wait for the leader, until it is dropped: none where there are no
    /// limits.
    pub fn admit_linearizable(&self) -> Result<Option<OwnedSemaphorePermit>, Refusal> {
        self.ask(|rates| rates.admit_linearizable().map(Some))
    }

    /// What the limits say, or that everything may be if there are none.
    fn ask<T: Default>(
        &self,
        ask: impl FnOnce(&RequestRates<MonotonicClock>) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let rates = self.0.load();
        rates.as_ref().map_or(Ok(T::default()), |rates| ask(rates))
    }
}
