//! A token bucket per client, in bounded memory.

use std::{
    collections::HashMap,
    fmt,
    net::IpAddr,
    num::NonZeroU32,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, MonotonicClock, Reference},
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{StateStore, keyed::ShrinkableKeyedStateStore},
};

use crate::{Client, Config, RetryAfter};

/// How often a full table is searched for idle clients. The search takes a millisecond and holds
/// up every check, so a flood must not cause more than one of them per second.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// A token bucket per client (GCRA), for at most [`Config::client_count_max`] clients.
///
/// When the table is full, idle clients are dropped first: those whose bucket is full, which are no
/// different from clients never seen. Clients that still find no room share one bucket, so a flood
/// of addresses slows newcomers down and neither takes more memory nor hurts those already known.
pub struct ClientLimit<C: Clock = MonotonicClock> {
    limiter: RateLimiter<Client, Buckets, C, NoOpMiddleware<C::Instant>>,
    client_count_max: usize,
    started: C::Instant,
    /// When the table may be searched again, in nanoseconds since `started`.
    next_sweep: AtomicU64,
}

impl ClientLimit {
    /// A limit that knows no client yet, enabled or not.
    pub fn new(config: &Config) -> Self {
        Self::with_clock(config, MonotonicClock)
    }
}

impl<C: Clock> ClientLimit<C> {
    fn with_clock(config: &Config, clock: C) -> Self {
        // The bounds of both begin at 1.
        let positive = |rate| NonZeroU32::new(rate).unwrap_or(NonZeroU32::MIN);
        let quota =
            Quota::per_second(positive(config.put_per_sec)).allow_burst(positive(config.put_burst));
        Self {
            started: clock.now(),
            limiter: RateLimiter::new(quota, Buckets::new(config.client_count_max), clock),
            client_count_max: config.client_count_max,
            next_sweep: AtomicU64::new(0),
        }
    }

    /// Takes a token of the client at `address`, or says when there will be one.
    pub fn check(&self, address: IpAddr) -> Result<(), RetryAfter> {
        if self.client_count() >= self.client_count_max && self.sweep_is_due() {
            self.limiter.retain_recent();
        }
        self.limiter
            .check_key(&Client::from(address))
            .map_err(|not_until| {
                RetryAfter::from_wait(not_until.wait_time_from(self.limiter.clock().now()))
            })
    }

    /// How many clients have a bucket of their own now.
    pub fn client_count(&self) -> usize {
        self.limiter.len()
    }

    /// Whether the interval has passed, and no other thread has taken the sweep.
    fn sweep_is_due(&self) -> bool {
        let now = self.limiter.clock().now().duration_since(self.started);
        let next = self.next_sweep.load(Ordering::Relaxed);
        now.as_u64() >= next
            && self
                .next_sweep
                .compare_exchange(
                    next,
                    (now + Nanos::from(SWEEP_INTERVAL)).as_u64(),
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                )
                .is_ok()
    }
}

impl<C: Clock> fmt::Debug for ClientLimit<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientLimit")
            .field("client_count", &self.client_count())
            .field("client_count_max", &self.client_count_max)
            .finish_non_exhaustive()
    }
}

/// Where governor keeps its state: for each client the moment at which its bucket is full again.
struct Buckets {
    client_count_max: usize,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    full_at: HashMap<Client, Nanos>,
    /// The bucket of all clients that found no room.
    overflow_full_at: Option<Nanos>,
}

impl Buckets {
    fn new(client_count_max: usize) -> Self {
        Self {
            client_count_max,
            table: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // Nothing in here leaves the table half changed.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StateStore for Buckets {
    type Key = Client;

    fn measure_and_replace<T, F, E>(&self, client: &Client, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut table = self.lock();
        let table = &mut *table;
        if let Some(full_at) = table.full_at.get_mut(client) {
            let (outcome, new) = decide(Some(*full_at))?;
            *full_at = new;
            Ok(outcome)
        } else if table.full_at.len() < self.client_count_max {
            let (outcome, new) = decide(None)?;
            table.full_at.insert(*client, new);
            Ok(outcome)
        } else {
            let (outcome, new) = decide(table.overflow_full_at)?;
            table.overflow_full_at = Some(new);
            Ok(outcome)
        }
    }
}

impl ShrinkableKeyedStateStore<Client> for Buckets {
    fn retain_recent(&self, drop_below: Nanos) {
        self.lock()
            .full_at
            .retain(|_, full_at| *full_at > drop_below);
    }

    fn len(&self) -> usize {
        self.lock().full_at.len()
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
#[path = "limit_tests.rs"]
mod tests;
