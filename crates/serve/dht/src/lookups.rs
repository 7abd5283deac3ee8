//! Lookups: one per key at a time, with a bound on how many run and on what is kept of them.

use std::{
    collections::HashMap,
    net::IpAddr,
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use lru::LruCache;
use mainline::GetMutableOutcome;
use quorate_limit::{PlaceCounts, RequestLimits};
use quorate_packet::{PublicKey, SignedPacket};
use quorate_replica::{Conditions, DhtAnswer, IndexedPacket, Replica, StoredPacket};
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use crate::{
    DhtMetrics, DhtSettings,
    client::Client,
    metrics::{LookupLabel, RefusedLabel},
    values::{self, ReadFailure, is_full},
};

/// What is known of a running lookup.
#[derive(Debug, Clone, Default)]
struct Progress {
    newest: Option<Arc<IndexedPacket>>,
    end: Option<End>,
}

#[derive(Debug, Clone, Copy)]
struct End {
    /// Whether enough nodes answered to say that the DHT has nothing newer.
    is_full: bool,
}

/// What is kept of ended lookups, and which run.
struct State {
    running: HashMap<PublicKey, watch::Receiver<Progress>>,
    places: PlaceCounts,
    found: LruCache<PublicKey, Found>,
    /// Until when keys are not looked up again.
    absent: LruCache<PublicKey, Instant>,
}

/// A packet of the DHT. After its time it is still the oldest that the next lookup may give.
struct Found {
    packet: Arc<IndexedPacket>,
    until: Instant,
}

/// What is known from ended lookups.
enum Known {
    Packet(Arc<IndexedPacket>),
    Absent,
}

impl State {
    fn known(&mut self, key: &PublicKey) -> Option<Known> {
        let now = Instant::now();
        if let Some(found) = self.found.get(key)
            && found.until > now
        {
            return Some(Known::Packet(found.packet.clone()));
        }
        let is_absent = self.absent.get(key).is_some_and(|until| *until > now);
        is_absent.then_some(Known::Absent)
    }
}

pub(crate) struct Lookups {
    pub(crate) client: Arc<Client>,
    replica: Arc<dyn Replica>,
    limits: RequestLimits,
    settings: DhtSettings,
    metrics: DhtMetrics,
    state: Mutex<State>,
}

impl Lookups {
    pub(crate) fn new(
        settings: DhtSettings,
        client: Arc<Client>,
        replica: Arc<dyn Replica>,
        limits: RequestLimits,
        metrics: DhtMetrics,
    ) -> Arc<Self> {
        let at_least_one = |count| NonZeroUsize::new(count).unwrap_or(NonZeroUsize::MIN);
        let state = State {
            running: HashMap::new(),
            places: PlaceCounts::default(),
            found: LruCache::new(at_least_one(settings.found_count_max)),
            absent: LruCache::new(at_least_one(settings.absent_count_max)),
        };
        Arc::new(Self {
            client,
            replica,
            limits,
            settings,
            metrics,
            state: Mutex::new(state),
        })
    }

    /// The newest packet of `key` that the DHT returned until the deadline.
    pub(crate) async fn lookup(
        self: &Arc<Self>,
        key: &PublicKey,
        client: IpAddr,
        deadline: Duration,
    ) -> DhtAnswer {
        let deadline = Instant::now() + deadline;
        let mut progress = match self.known_or_started(key, client) {
            Ok(progress) => progress,
            Err(answer) => return answer,
        };
        let ended = progress.wait_for(|progress| progress.end.is_some());
        // At the deadline, what was found so far counts. A sender that is gone has panicked.
        let _ = timeout_at(deadline, ended).await;
        let Progress { newest, end } = progress.borrow().clone();
        let is_absent = end.is_some_and(|end| end.is_full);
        let found = newest.and_then(|found| self.servable(found));
        found.unwrap_or(match is_absent {
            true => DhtAnswer::Absent,
            false => DhtAnswer::Unanswered,
        })
    }

    /// What is known of a key from a lookup that has ended, or from the rules of the cluster.
    pub(crate) fn known(&self, key: &PublicKey) -> Option<DhtAnswer> {
        if self.is_rejected(key) {
            return Some(DhtAnswer::Absent);
        }
        let known = self.lock().known(key)?;
        match known {
            Known::Packet(packet) => self.servable(packet),
            Known::Absent => Some(DhtAnswer::Absent),
        }
    }

    /// The same, or what the running lookup has found so far.
    pub(crate) fn known_so_far(&self, key: &PublicKey) -> Option<DhtAnswer> {
        self.known(key).or_else(|| {
            let found = self.lock().running.get(key)?.borrow().newest.clone()?;
            self.servable(found)
        })
    }

    fn servable(&self, packet: Arc<IndexedPacket>) -> Option<DhtAnswer> {
        self.may_serve(&packet).then_some(DhtAnswer::Found(packet))
    }

    /// The running lookup of a key, which is started if need be; or what is known without one.
    fn known_or_started(
        self: &Arc<Self>,
        key: &PublicKey,
        client: IpAddr,
    ) -> Result<watch::Receiver<Progress>, DhtAnswer> {
        if let Some(known) = self.known(key) {
            return Err(known);
        }
        let mut state = self.lock();
        if let Some(running) = state.running.get(key) {
            return Ok(running.clone());
        }
        if let Err(refused) = self.admit(&state, client) {
            self.metrics.lookups_refused_total.of(refused).inc();
            return Err(DhtAnswer::Refused);
        }
        let floor = state.found.peek(key).map(|found| found.packet.clone());
        let (sender, receiver) = watch::channel(Progress::default());
        state.places.add(client);
        state.running.insert(*key, receiver.clone());
        self.metrics.lookups_open.inc();
        let place = Place {
            lookups: self.clone(),
            key: *key,
            client,
        };
        tokio::spawn(place.run(sender, floor));
        Ok(receiver)
    }

    /// Whether this client may start one more lookup.
    fn admit(&self, state: &State, client: IpAddr) -> Result<(), RefusedLabel> {
        let DhtSettings {
            lookup_count_max,
            lookup_count_per_client_max,
            ..
        } = self.settings;
        if !self.client.is_connected() {
            return Err(RefusedLabel::Disconnected);
        }
        if state.places.total() >= lookup_count_max {
            return Err(RefusedLabel::Node);
        }
        let full = state
            .places
            .full_network(client, lookup_count_per_client_max, lookup_count_max);
        if full.is_some() {
            return Err(RefusedLabel::Client);
        }
        let within_rate = self.limits.check_lookup(client);
        within_rate.map_err(|_| RefusedLabel::Rate)
    }

    /// Whether the key may not publish.
    fn is_rejected(&self, key: &PublicKey) -> bool {
        let publishing = self.replica.publishing();
        let now = || Some(values::now());
        publishing.rejection(key, None, now).is_some()
    }

    /// Whether the cluster would take this packet: its key may publish, it was not deleted, and no
    /// newer one is stored.
    fn may_serve(&self, found: &IndexedPacket) -> bool {
        let packet = found.compiled.packet();
        if self.is_rejected(packet.key()) || self.replica.publishing().has_deleted(packet) {
            return false;
        }
        let stored = self.replica.packet(packet.key());
        stored.is_ok_and(|stored| {
            stored.is_none_or(|stored| packet.recency(stored.compiled.packet()).is_ge())
        })
    }

    /// Keeps the result of a lookup for its time.
    fn keep(&self, key: &PublicKey, newest: Option<&Arc<IndexedPacket>>, is_full: bool) {
        let now = Instant::now();
        let newest = newest.filter(|found| self.may_serve(found));
        let mut state = self.lock();
        match newest {
            Some(packet) => {
                let until = now + Duration::from_secs(self.settings.found_secs);
                let packet = packet.clone();
                state.found.put(*key, Found { packet, until });
            }
            None if is_full => {
                let absent = Duration::from_secs(self.settings.absent_secs);
                let until = now + absent.mul_f64(0.5 + fastrand::f64() / 2.0);
                state.absent.put(*key, until);
            }
            None => {}
        }
    }

    /// Proposes a packet to the cluster like a PUT. If that fails, the next lookup does it again.
    async fn store(&self, found: &IndexedPacket) {
        if self.may_serve(found) && !self.is_outdated(found) {
            let packet = found.compiled.packet().clone();
            let key = *packet.key();
            let outcome = self.replica.put(packet, Conditions::default()).await;
            tracing::debug!(%key, ?outcome, "proposed a packet of the DHT");
        }
    }

    /// Whether a packet was signed so long ago that it may have expired here. If it was stored again, the
    /// cluster would publish it again, and it would never go.
    fn is_outdated(&self, found: &IndexedPacket) -> bool {
        let retention_secs = self.replica.status().retention_secs.unwrap_or(0);
        let signed_ms = found.compiled.packet().timestamp().as_micros() / 1000;
        let age_ms = values::now().0.saturating_sub(signed_ms);
        age_ms / 1000 >= retention_secs
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of a running lookup, which is free when this is dropped.
struct Place {
    lookups: Arc<Lookups>,
    key: PublicKey,
    client: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.lookups.lock();
        state.running.remove(&self.key);
        state.places.remove(self.client);
        self.lookups.metrics.lookups_open.dec();
    }
}

impl Place {
    /// Reads all values that the DHT returns, and sends the newest so far.
    async fn run(self, progress: watch::Sender<Progress>, floor: Option<Arc<IndexedPacket>>) {
        let (lookups, key) = (self.lookups.clone(), self.key);
        let outcome = self.read(&progress, floor).await;
        let newest = progress.borrow().newest.clone();
        let is_full = outcome.as_ref().is_ok_and(is_full);
        let label = match (&newest, &outcome) {
            (_, Err(ReadFailure::Abandoned)) => LookupLabel::Abandoned,
            (Some(_), _) => LookupLabel::Found,
            (None, _) if is_full => LookupLabel::Absent,
            (None, _) => LookupLabel::Unanswered,
        };
        lookups.metrics.lookups_total.of(label).inc();
        lookups.keep(&key, newest.as_ref(), is_full);
        let end = || progress.send_modify(|progress| progress.end = Some(End { is_full }));
        match newest.filter(|_| lookups.settings.store_found) {
            // Who is told of the end finds no trace of the lookup.
            None => {
                drop(self);
                end();
            }
            // Nobody waits for that, but it takes the place of a lookup.
            Some(found) => {
                end();
                lookups.store(&found).await;
            }
        }
    }

    async fn read(
        &self,
        progress: &watch::Sender<Progress>,
        floor: Option<Arc<IndexedPacket>>,
    ) -> Result<GetMutableOutcome, ReadFailure> {
        let Lookups {
            client, metrics, ..
        } = &*self.lookups;
        let started = Instant::now();
        let mut newest_after = None;
        let on_newer = |packet: &SignedPacket| {
            let after = started.elapsed().as_secs_f64();
            if newest_after.replace(after).is_none() {
                metrics.first_packet_seconds.observe(after);
            }
            let is_older = |floor: &Arc<IndexedPacket>| {
                let floor = floor.compiled.packet();
                floor.recency(packet).is_le()
            };
            let found = floor.clone().filter(|floor| !is_older(floor));
            let found = found.unwrap_or_else(|| {
                Arc::new(IndexedPacket::new(&StoredPacket {
                    received: values::now(),
                    packet: packet.clone(),
                }))
            });
            progress.send_modify(|progress| progress.newest = Some(found));
        };
        let outcome = values::read(client, &self.key, metrics, on_newer).await;
        if let Some(after) = newest_after {
            metrics.newest_packet_seconds.observe(after);
        }
        outcome
    }
}

#[cfg(test)]
#[path = "lookups_tests.rs"]
mod tests;
