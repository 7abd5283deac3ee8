//! The client of the DHT, which is started again when it fails.

use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt;
use mainline::{
    Dht, MutableItem, RequestFilter, ServerSettings,
    async_dht::{AsyncDht, GetMutableDetailed},
};
use quorate_packet::PublicKey;
use tokio::{
    net::lookup_host,
    sync::watch,
    task::spawn_blocking,
    time::{Instant, sleep, timeout},
};

use crate::{DhtMetrics, DhtSettings, round_trips};

/// After this time a lookup no longer counts, although the library may continue it: a real one ends
/// within a few seconds.
pub(crate) const LOOKUP_TIMEOUT: Duration = Duration::from_secs(20);

/// How long the first contact with the DHT may take.
const BOOTSTRAP_TIMEOUT: Duration = Duration::from_secs(15);

/// The pause after the first failure. It doubles with each further one, and half of it is random,
/// so that the nodes of a cluster do not come back together.
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(300);

/// How often the state of the client is read.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// After so many lookups in a row that no node of the DHT answered, and so long after the last that one
/// did, the client starts again: its routing table would keep dead nodes for 20 min. Many lookups may fail
/// together when the machine is busy for a moment.
const UNANSWERED_MAX: u32 = 4;
const UNANSWERED_TIMEOUT: Duration = Duration::from_secs(10);

/// So long after a lookup that did not end, another client takes over: nothing else ends it, and a node of
/// the DHT can prolong it for ever with invented nodes.
const ABANDONED_TIMEOUT: Duration = Duration::from_secs(30);

/// When the round trips to the nodes that it knows are measured after the start of a client, and how often
/// later.
const FIRST_MEASURE_AFTER: Duration = Duration::from_secs(60);
const MEASURE_INTERVAL: Duration = Duration::from_secs(600);

/// The client starts again if the timeout that follows from round trips is this many times shorter or
/// longer than the present one: the library cannot change it.
const TIMEOUT_CHANGE: f64 = 2.0;

/// How many nodes of the DHT are remembered for the next start, beside the configured ones. If the library
/// gets more than 20 together, it asks all of them in each lookup.
const REMEMBERED_COUNT: usize = 8;

/// The client. Only here is the library used, apart from its items.
///
/// The library runs a thread that ends when the last handle is dropped. Its queues are unbounded,
/// and its queries cannot be cancelled, so the callers are bounded, and a start again frees what
/// hangs.
#[derive(Debug)]
pub(crate) struct Client {
    settings: DhtSettings,
    /// `None` while the DHT cannot be reached.
    current: watch::Sender<Option<AsyncDht>>,
    request_timeout_ms: AtomicU64,
    unanswered: AtomicU32,
    answered_at: Mutex<Instant>,
    /// When the first lookup was abandoned.
    abandoned_at: Mutex<Option<Instant>>,
    metrics: DhtMetrics,
}

/// Why the client does not run.
#[derive(Debug, thiserror::Error)]
enum ClientError {
    #[error("none of dht.bootstrap has an IPv4 address")]
    NoBootstrap,
    #[error("dht.listen cannot be used")]
    Bind(#[source] std::io::Error),
    #[error("no node of the DHT answered")]
    Unanswered,
    #[error("its nodes do not answer any more")]
    Failed,
    #[error("its thread has ended")]
    Panicked,
}

/// Why a client ended.
enum Ended {
    Failed(ClientError),
    /// It works, but the library cannot change what must change: another one takes its place.
    HandOver,
}

impl Client {
    pub(crate) fn new(settings: DhtSettings, metrics: DhtMetrics) -> Arc<Self> {
        Arc::new(Self {
            settings,
            current: watch::Sender::new(None),
            request_timeout_ms: AtomicU64::new(0),
            unanswered: AtomicU32::new(0),
            answered_at: Mutex::new(Instant::now()),
            abandoned_at: Mutex::default(),
            metrics,
        })
    }

    /// How long a node of the DHT may take to answer.
    pub(crate) fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms.load(Ordering::Relaxed))
    }

    /// Whether the DHT was reached.
    pub(crate) fn is_connected(&self) -> bool {
        self.current.borrow().is_some()
    }

    /// Resolves when the DHT is reached.
    pub(crate) async fn connected(&self) {
        let mut current = self.current.subscribe();
        let _ = current.wait_for(Option::is_some).await;
    }

    /// The values of a key, from all nodes near to it. `None` while the DHT cannot be reached.
    pub(crate) fn get(&self, key: &PublicKey) -> Option<GetMutableDetailed> {
        let current = self.current.borrow();
        let dht = current.as_ref()?;
        Some(dht.get_mutable_detailed(key.as_bytes(), None, None))
    }

    /// Stores a value at the nodes near to its key. Returns how many took it; `None` if none did.
    pub(crate) async fn put(&self, item: MutableItem) -> Option<u32> {
        let dht = self.current.borrow().clone()?;
        // The library panics here if its thread ends meanwhile.
        let stored = AssertUnwindSafe(dht.put_mutable(item, None)).catch_unwind();
        match timeout(LOOKUP_TIMEOUT, stored).await {
            Ok(Ok(Ok(stored))) => Some(stored.stored_at),
            Ok(Ok(Err(error))) => {
                tracing::debug!(%error, "no node of the DHT took a packet");
                None
            }
            Ok(Err(_)) => None,
            Err(_) => {
                self.on_abandoned();
                None
            }
        }
    }

    /// Counts a lookup that this share of the DHT answered.
    pub(crate) fn on_lookup(&self, is_answered: bool) {
        match is_answered {
            true => self.on_answer(),
            false => drop(self.unanswered.fetch_add(1, Ordering::Relaxed)),
        }
    }

    fn on_answer(&self) {
        self.unanswered.store(0, Ordering::Relaxed);
        *lock(&self.answered_at) = Instant::now();
    }

    /// Whether lookups are not answered.
    fn has_failed(&self) -> bool {
        self.unanswered.load(Ordering::Relaxed) >= UNANSWERED_MAX
            && lock(&self.answered_at).elapsed() >= UNANSWERED_TIMEOUT
    }

    /// Whether a lookup should have ended.
    fn has_endless_lookup(&self) -> bool {
        let abandoned_at = *lock(&self.abandoned_at);
        abandoned_at.is_some_and(|abandoned_at| abandoned_at.elapsed() >= ABANDONED_TIMEOUT)
    }

    /// Counts a lookup that does not end.
    pub(crate) fn on_abandoned(&self) {
        lock(&self.abandoned_at).get_or_insert_with(Instant::now);
    }

    /// Keeps a client running. Never returns.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut retry = RETRY_MIN;
        let mut remembered = Vec::new();
        loop {
            // The library panics in its callers when its thread has ended.
            let ended = AssertUnwindSafe(self.run_once(&mut remembered, &mut retry)).catch_unwind();
            let error = match ended.await {
                Ok(Ended::HandOver) => continue,
                Ok(Ended::Failed(error)) => error,
                Err(_) => ClientError::Panicked,
            };
            self.current.send_replace(None);
            self.metrics.routing_nodes.set(0);
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                retry_secs = retry.as_secs(),
                "the DHT cannot be reached: trying again"
            );
            let jitter = retry.mul_f64(fastrand::f64() / 2.0);
            sleep(retry - jitter).await;
            retry = (retry * 2).min(RETRY_MAX);
        }
    }

    /// Starts the client, and returns why it must start again.
    async fn run_once(&self, remembered: &mut Vec<SocketAddrV4>, retry: &mut Duration) -> Ended {
        let dht = match self.start(remembered).await {
            Ok(dht) => dht,
            Err(error) => return Ended::Failed(error),
        };
        *retry = RETRY_MIN;
        tracing::info!("the DHT is reached");
        self.current.send_replace(Some(dht.clone()));
        let ended = self.watch(&dht, remembered).await;
        if self.settings.listen.port() == 0 {
            // What it has begun is ended.
            tokio::spawn(async move {
                sleep(LOOKUP_TIMEOUT).await;
                drop(dht);
            });
        } else {
            // The next one needs its port.
            self.current.send_replace(None);
            drop(dht);
            sleep(RETRY_MIN).await;
        }
        ended
    }

    /// Starts the client, and waits until a node of the DHT answers.
    async fn start(&self, remembered: &mut Vec<SocketAddrV4>) -> Result<AsyncDht, ClientError> {
        self.metrics.starts_total.inc();
        // Those that are remembered may all be liars.
        let mut bootstrap = resolve(&self.settings.bootstrap).await;
        bootstrap.extend(&*remembered);
        if bootstrap.is_empty() {
            return Err(ClientError::NoBootstrap);
        }
        self.on_answer();
        *lock(&self.abandoned_at) = None;
        // Only few are measured yet, but a client cannot change its timeout, and needs its port.
        let measured = self.measure(&bootstrap).await;
        let connected = self.connect(&bootstrap, measured).await;
        if connected.is_err() {
            remembered.clear();
        }
        connected
    }

    /// Starts a client with this timeout of its requests.
    async fn connect(
        &self,
        bootstrap: &[SocketAddrV4],
        request_timeout: Duration,
    ) -> Result<AsyncDht, ClientError> {
        let mut builder = self.builder(bootstrap);
        builder.request_timeout(request_timeout);
        let timeout_ms = request_timeout.as_millis() as u64;
        self.request_timeout_ms.store(timeout_ms, Ordering::Relaxed);
        // It waits for its thread.
        let built = spawn_blocking(move || builder.build()).await;
        let built = built.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        let dht = built.map_err(ClientError::Bind)?.as_async();
        // Which nodes are nearest does not matter, only that some are known then.
        let known = async {
            dht.bootstrapped().await;
            dht.to_bootstrap().await
        };
        match timeout(BOOTSTRAP_TIMEOUT, known).await {
            Ok(nodes) if !nodes.is_empty() => Ok(dht),
            _ => Err(ClientError::Unanswered),
        }
    }

    /// The timeout of requests that follows from round trips to these nodes.
    async fn measure(&self, nodes: &[SocketAddrV4]) -> Duration {
        let measured = round_trips::measure(self.settings.listen.ip(), nodes).await;
        let measured = measured.unwrap_or_else(|error| {
            tracing::debug!(%error, "the round trips to nodes of the DHT cannot be measured");
            Vec::new()
        });
        for round_trip in &measured {
            let metric = &self.metrics.round_trip_seconds;
            metric.observe(round_trip.as_secs_f64());
        }
        round_trips::request_timeout(measured)
    }

    fn builder(&self, bootstrap: &[SocketAddrV4]) -> mainline::DhtBuilder {
        let settings = &self.settings;
        let mut builder = Dht::builder();
        builder.bootstrap(bootstrap).port(settings.listen.port());
        if let SocketAddr::V4(listen) = settings.listen {
            builder.bind_address(*listen.ip());
        }
        if settings.public_address != Ipv4Addr::UNSPECIFIED {
            builder.public_ip(settings.public_address);
        }
        match settings.serve {
            true => drop(builder.server_mode()),
            // The library begins to serve by itself when it finds that it can be reached.
            false => drop(builder.server_settings(ServerSettings {
                filter: Box::new(ServeNothing),
                ..ServerSettings::default()
            })),
        }
        builder
    }

    /// Returns why the client must start again.
    async fn watch(&self, dht: &AsyncDht, remembered: &mut Vec<SocketAddrV4>) -> Ended {
        let mut measure_at = Instant::now() + FIRST_MEASURE_AFTER;
        loop {
            let (info, mut nodes) = tokio::join!(dht.info(), known_nodes(dht));
            self.metrics.routing_nodes.set(nodes.len() as i64);
            let (estimated, _) = info.dht_size_estimate();
            self.metrics.estimated_nodes.set(estimated as i64);
            fastrand::shuffle(&mut nodes);
            nodes.truncate(REMEMBERED_COUNT);
            *remembered = nodes;
            sleep(CHECK_INTERVAL).await;
            if self.has_failed() {
                return Ended::Failed(ClientError::Failed);
            }
            // The library does so by itself when others can reach it. They would list this node and wait
            // for answers that it does not give.
            let serves = info.server_mode() && !self.settings.serve;
            if serves || self.has_endless_lookup() {
                return Ended::HandOver;
            }
            if measure_at <= Instant::now() {
                measure_at = Instant::now() + MEASURE_INTERVAL;
                let measured = self.measure(&known_nodes(dht).await).await;
                if is_changed(self.request_timeout(), measured) {
                    return Ended::HandOver;
                }
            }
        }
    }
}

async fn known_nodes(dht: &AsyncDht) -> Vec<SocketAddrV4> {
    let nodes = dht.to_bootstrap().await;
    nodes.iter().filter_map(|node| node.parse().ok()).collect()
}

/// Whether a timeout is so different that a start is worth it.
fn is_changed(present: Duration, measured: Duration) -> bool {
    let change = measured.as_secs_f64() / present.as_secs_f64();
    !(1.0 / TIMEOUT_CHANGE..TIMEOUT_CHANGE).contains(&change)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers nobody.
#[derive(Debug, Clone)]
struct ServeNothing;

impl RequestFilter for ServeNothing {
    fn allow_request(&self, _: &mainline::RequestSpecific, _: SocketAddrV4) -> bool {
        false
    }
}

/// The IPv4 addresses of these nodes, without those that have none now.
async fn resolve(nodes: &[String]) -> Vec<SocketAddrV4> {
    let mut addresses = Vec::new();
    for node in nodes {
        match lookup_host(node).await {
            Ok(found) => addresses.extend(found.filter_map(|address| match address {
                SocketAddr::V4(address) => Some(address),
                SocketAddr::V6(_) => None,
            })),
            Err(error) => tracing::debug!(%node, %error, "a bootstrap node has no address"),
        }
    }
    addresses
}
