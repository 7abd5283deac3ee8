//! Limits how many requests wait for changes, in total and per client.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use quorate_http::{ProblemResponse, ProblemType};
use quorate_limit::Client;
use quorate_metrics::GaugeGuard;

use crate::{
    RelayMetrics, WatchSettings,
    metrics::{TooManyWatchers, WatchLabel},
};

/// After how many seconds a rejected request may be retried. Slots stay taken for a long time.
const RETRY_AFTER_SECS: u64 = 10;

/// The requests that wait for changes. Each occupies a connection, or a stream of one.
pub(crate) struct Watchers {
    settings: WatchSettings,
    metrics: RelayMetrics,
    waiting: Arc<Mutex<WaitingCounts>>,
}

#[derive(Debug, Default)]
struct WaitingCounts {
    count: usize,
    by_client: HashMap<Client, usize>,
}

impl From<TooManyWatchers> for ProblemResponse {
    fn from(error: TooManyWatchers) -> Self {
        let kind = match error {
            TooManyWatchers::Node => ProblemType::Overloaded,
            TooManyWatchers::Client => ProblemType::RateLimited,
        };
        Self::new(kind, error).retry_after(RETRY_AFTER_SECS)
    }
}

impl Watchers {
    /// No request waits yet.
    pub(crate) fn new(settings: WatchSettings, metrics: RelayMetrics) -> Self {
        Self {
            settings,
            metrics,
            waiting: Arc::default(),
        }
    }

    /// Admits a request that waits. It counts until the returned slot is dropped.
    pub(crate) fn admit(
        &self,
        client: IpAddr,
        kind: WatchLabel,
    ) -> Result<WatcherSlot, TooManyWatchers> {
        let client = Client::from(client);
        let mut waiting = lock(&self.waiting);
        let count_of_client = waiting.by_client.get(&client).copied().unwrap_or_default();
        let exceeded = if count_of_client >= self.settings.count_per_client_max {
            Some(TooManyWatchers::Client)
        } else if waiting.count >= self.settings.count_max {
            Some(TooManyWatchers::Node)
        } else {
            None
        };
        if let Some(exceeded) = exceeded {
            self.metrics.watches_refused_total.of(exceeded).inc();
            return Err(exceeded);
        }
        waiting.count += 1;
        waiting.by_client.insert(client, count_of_client + 1);
        Ok(WatcherSlot {
            client,
            waiting: self.waiting.clone(),
            _gauge: GaugeGuard::new(self.metrics.watches_open.of(kind)),
        })
    }
}

/// Counts a waiting request until it is dropped.
#[derive(Debug)]
pub(crate) struct WatcherSlot {
    client: Client,
    waiting: Arc<Mutex<WaitingCounts>>,
    _gauge: GaugeGuard,
}

impl Drop for WatcherSlot {
    fn drop(&mut self) {
        let mut waiting = lock(&self.waiting);
        waiting.count -= 1;
        if let Some(count) = waiting.by_client.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                waiting.by_client.remove(&self.client);
            }
        }
    }
}

/// Ignores poisoning, because no panic leaves the counts half changed.
fn lock(waiting: &Mutex<WaitingCounts>) -> MutexGuard<'_, WaitingCounts> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use quorate_metrics::Registry;

    use super::*;

    fn watchers(count_max: usize, count_per_client_max: usize) -> Watchers {
        let settings = WatchSettings {
            count_max,
            count_per_client_max,
            ..WatchSettings::default()
        };
        Watchers::new(settings, RelayMetrics::register(&Registry::new()).unwrap())
    }

    fn admit(watchers: &Watchers, client: &str) -> Result<WatcherSlot, TooManyWatchers> {
        watchers.admit(client.parse().unwrap(), WatchLabel::Events)
    }

    #[test]
    fn a_released_slot_is_free_for_others() {
        let watchers = watchers(2, 2);
        let [one, other] = ["192.0.2.1", "192.0.2.2"].map(|c| admit(&watchers, c).unwrap());
        let exceeded = admit(&watchers, "192.0.2.3").unwrap_err();
        assert_eq!(exceeded, TooManyWatchers::Node);
        drop(one);
        let third = admit(&watchers, "192.0.2.3").unwrap();
        drop((other, third));
        let waiting = lock(&watchers.waiting);
        assert!(waiting.count == 0 && waiting.by_client.is_empty());
    }

    #[test]
    fn a_client_at_its_limit_leaves_slots_for_others() {
        let watchers = watchers(9, 1);
        let _slot = admit(&watchers, "2001:db8::1").unwrap();
        let exceeded = admit(&watchers, "2001:db8::2").unwrap_err();
        assert_eq!(exceeded, TooManyWatchers::Client);
        admit(&watchers, "2001:db8:0:1::1").unwrap();
    }
}
