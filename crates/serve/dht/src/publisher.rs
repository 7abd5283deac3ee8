//! Publishes stored packets in the DHT: new ones soon, and all of them once in each round.

use std::{
    collections::{BTreeSet, HashMap},
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use lru::LruCache;
use quorate_packet::{PublicKey, SignedPacket};
use quorate_replica::{Conditions, Operator};
use tokio::{
    sync::{Notify, Semaphore},
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

use crate::{
    DhtMetrics, DhtSettings,
    client::Client,
    item,
    metrics::PublicationLabel,
    values::{self, ReadFailure},
};

/// A key is published at most once in this time. Endpoints sign their packet again every 5 min.
const KEY_INTERVAL: Duration = Duration::from_secs(300);

/// A packet that fewer nodes of the DHT took is published again sooner: with 17 copies at least one
/// survives 30 h with a probability of 99.9 % (pkarr-churn).
const COPIES_MIN: u32 = 17;

/// How much sooner.
const RETRY_INTERVAL: Duration = Duration::from_secs(3600);

/// When each key is published.
struct Queue {
    by_time: BTreeSet<(Instant, PublicKey)>,
    by_key: HashMap<PublicKey, Waiting>,
    /// When keys were published last: those of the last minutes matter.
    published: LruCache<PublicKey, Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    at: Instant,
    /// Whether too few nodes took it the last time. It is not retried again before the next round.
    is_retry: bool,
}

pub(crate) struct Publisher {
    client: Arc<Client>,
    replica: Arc<dyn Operator>,
    settings: DhtSettings,
    metrics: DhtMetrics,
    queue: Mutex<Queue>,
    queued: Notify,
}

impl Publisher {
    pub(crate) fn new(
        settings: DhtSettings,
        client: Arc<Client>,
        replica: Arc<dyn Operator>,
        metrics: DhtMetrics,
    ) -> Arc<Self> {
        let count_max = KEY_INTERVAL.as_secs() * u64::from(settings.publish_per_sec);
        let count_max = NonZeroUsize::new(count_max as usize).unwrap_or(NonZeroUsize::MIN);
        let queue = Queue {
            by_time: BTreeSet::new(),
            by_key: HashMap::new(),
            published: LruCache::new(count_max),
        };
        Arc::new(Self {
            client,
            replica,
            settings,
            metrics,
            queue: Mutex::new(queue),
            queued: Notify::new(),
        })
    }

    /// Publishes the packet of this key soon, as it is then. If too many wait, the next round does.
    pub(crate) fn publish_soon(&self, key: &PublicKey) {
        self.publish_at(key, Instant::now(), false);
    }

    /// The same in the round, which may use the whole queue.
    pub(crate) fn publish_in_turn(&self, key: &PublicKey) {
        let count_max = self.settings.publish_queue_count_max;
        self.enqueue(key, Instant::now(), false, count_max);
    }

    /// New packets and retries leave half of the queue to the round.
    fn publish_at(&self, key: &PublicKey, at: Instant, is_retry: bool) {
        let count_max = self.settings.publish_queue_count_max.div_ceil(2);
        self.enqueue(key, at, is_retry, count_max);
    }

    fn enqueue(&self, key: &PublicKey, at: Instant, is_retry: bool, count_max: usize) {
        let mut queue = self.lock();
        let published = queue.published.peek(key);
        let at = published.map_or(at, |published| at.max(*published + KEY_INTERVAL));
        match queue.by_key.get(key).copied() {
            Some(earlier) if earlier.at <= at => return,
            Some(later) => {
                queue.by_time.remove(&(later.at, *key));
            }
            None if queue.by_key.len() >= count_max => {
                self.metrics.publications_dropped_total.inc();
                return;
            }
            None => {}
        }
        queue.by_time.insert((at, *key));
        queue.by_key.insert(*key, Waiting { at, is_retry });
        self.metrics
            .publications_waiting
            .set(queue.by_key.len() as i64);
        drop(queue);
        self.queued.notify_one();
    }

    /// Publishes what is due. Never returns.
    pub(crate) async fn run(self: Arc<Self>) {
        let permits = Arc::new(Semaphore::new(self.settings.publish_count_max));
        let mut pace = interval(Duration::from_secs(1) / self.settings.publish_per_sec);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            pace.tick().await;
            self.client.connected().await;
            let Ok(permit) = permits.clone().acquire_owned().await else {
                return;
            };
            let (key, is_retry) = self.next_due().await;
            let publisher = self.clone();
            tokio::spawn(async move {
                publisher.publish(key, is_retry).await;
                drop(permit);
            });
        }
    }

    /// Sets the metric of how long the first key has been due.
    pub(crate) fn report_delay(&self) {
        let first = self.lock().by_time.first().copied();
        let delay = first.map(|(at, _)| Instant::now().saturating_duration_since(at));
        let delay_secs = delay.map_or(0, |delay| delay.as_secs() as i64);
        self.metrics.publication_delay_seconds.set(delay_secs);
    }

    /// Takes the next key out of the queue when it is due, and returns whether this is a retry.
    async fn next_due(&self) -> (PublicKey, bool) {
        loop {
            let first = self.lock().by_time.first().copied();
            let now = Instant::now();
            match first {
                Some((at, key)) if at <= now => {
                    let mut queue = self.lock();
                    queue.by_time.remove(&(at, key));
                    let waiting = queue.by_key.remove(&key);
                    queue.published.put(key, now);
                    self.metrics
                        .publications_waiting
                        .set(queue.by_key.len() as i64);
                    return (key, waiting.is_some_and(|waiting| waiting.is_retry));
                }
                Some((at, _)) => tokio::select! {
                    () = sleep_until(at) => {}
                    () = self.queued.notified() => {}
                },
                None => self.queued.notified().await,
            }
        }
    }

    async fn publish(&self, key: PublicKey, is_retry: bool) {
        // It was deleted, has expired, or its key may not publish any more.
        let Some(packet) = self.publishable(&key) else {
            return;
        };
        let publication = self.put(&packet).await;
        match publication {
            Publication::Stored(COPIES_MIN..) => {}
            _ if is_retry && publication != Publication::Interrupted => {}
            // If the newer one is stored now.
            Publication::Superseded => self.publish_at(&key, Instant::now(), true),
            Publication::Stored(_) => self.publish_at(&key, Instant::now() + RETRY_INTERVAL, true),
            // As soon as it may.
            Publication::Failed => self.publish_at(&key, Instant::now(), true),
            // When the DHT is reached again.
            Publication::Interrupted => self.publish_at(&key, Instant::now(), is_retry),
        }
    }

    /// The stored packet of a key, if the key may publish.
    pub(crate) fn publishable(&self, key: &PublicKey) -> Option<SignedPacket> {
        let stored = self.replica.packet(key).ok().flatten()?;
        let is_denied = self.replica.publishing().denied.contains(key);
        (!is_denied).then(|| stored.compiled.packet().clone())
    }

    /// Publishes a packet, unless the DHT has a newer one, which is proposed to the cluster then.
    pub(crate) async fn put(&self, packet: &SignedPacket) -> Publication {
        let key = packet.key();
        let mut newer = None;
        let on_newer = |found: &SignedPacket| {
            if found.recency(packet).is_gt() {
                newer = Some(found.clone());
            }
        };
        // The library looks the key up before it stores a value, and takes a lookup that has just
        // ended. This one sees the values, too.
        let read = values::read(&self.client, key, &self.metrics, on_newer).await;
        let (label, publication) = match (newer, read) {
            (Some(newer), _) => {
                // If it cannot be stored now, the next round finds it again.
                let outcome = self.replica.put(newer, Conditions::default()).await;
                tracing::debug!(%key, ?outcome, "the DHT has a newer packet: proposed it");
                (PublicationLabel::Superseded, Publication::Superseded)
            }
            (None, Ok(_)) => match self.client.put(item::item(packet)).await {
                Some(copies) => {
                    self.metrics.publication_copies.observe(copies.into());
                    (PublicationLabel::Stored, Publication::Stored(copies))
                }
                None => (PublicationLabel::Failed, Publication::Failed),
            },
            (None, Err(ReadFailure::Disconnected)) => {
                (PublicationLabel::Failed, Publication::Interrupted)
            }
            (None, Err(ReadFailure::Abandoned)) => (PublicationLabel::Failed, Publication::Failed),
        };
        self.metrics.publications_total.of(label).inc();
        publication
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The result of a publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Publication {
    /// So many nodes of the DHT took the packet.
    Stored(u32),
    /// The DHT has a newer one.
    Superseded,
    /// No node took it.
    Failed,
    /// The client started again meanwhile.
    Interrupted,
}

#[cfg(test)]
#[path = "publisher_tests.rs"]
mod tests;
