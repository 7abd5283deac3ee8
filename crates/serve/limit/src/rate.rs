//! A rate, for each of many.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use governor::{
    NotUntil, Quota, RateLimiter,
    clock::{Clock, Reference},
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::StateStore,
};
use quorate_metrics::Counter;

use crate::table::{Ask, Mode, Table};

/// Token buckets (GCRA) of one burst and one rate, each found by a hash.
pub(crate) struct Rate<C: Clock> {
    limiter: RateLimiter<Ask, SharedTable, C, NoOpMiddleware<C::Instant>>,
    table: Arc<Table>,
    begun_at: C::Instant,
    /// How long one token takes to come back, in nanoseconds.
    interval: u64,
    burst: NonZeroU32,
}

/// So many tokens at once, and then one each so often.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowance {
    burst: NonZeroU32,
    /// Of so many seconds,
    period_secs: u32,
    per_period: NonZeroU32,
}

impl Allowance {
    /// The bounds of settings begin at 1, and 0 counts as 1.
    pub(crate) fn new(burst: u32, per_period: u32, period_secs: u32) -> Self {
        let positive = |rate| NonZeroU32::new(rate).unwrap_or(NonZeroU32::MIN);
        Self {
            burst: positive(burst),
            per_period: positive(per_period),
            period_secs,
        }
    }

    /// So many times as much.
    pub(crate) fn times(self, multiple: NonZeroU32) -> Self {
        Self {
            burst: self.burst.saturating_mul(multiple),
            per_period: self.per_period.saturating_mul(multiple),
            ..self
        }
    }

    fn quota(self) -> Quota {
        let period = Duration::from_secs(self.period_secs.into());
        let interval = (period / self.per_period.get()).max(Duration::from_nanos(1));
        let quota = Quota::with_period(interval).unwrap_or(Quota::per_second(self.per_period));
        quota.allow_burst(self.burst)
    }
}

impl<C: Clock> Rate<C> {
    /// A rate for each of at least `slot_count_min` at once.
    pub(crate) fn new(
        allowance: Allowance,
        slot_count_min: usize,
        forgotten: Counter,
        clock: C,
    ) -> Self {
        let table = Arc::new(Table::new(slot_count_min, forgotten));
        let quota = allowance.quota();
        Self {
            interval: Nanos::from(quota.replenish_interval()).as_u64(),
            burst: allowance.burst,
            begun_at: clock.now(),
            limiter: RateLimiter::new(quota, SharedTable(table.clone()), clock),
            table,
        }
    }

    /// Takes a token, or says how long until there is one.
    pub(crate) fn take(&self, hash: u64) -> Result<(), Duration> {
        self.ask(hash, Mode::Take)
    }

    /// Says how long until there is a token, if there is none.
    pub(crate) fn peek(&self, hash: u64) -> Result<(), Duration> {
        self.ask(hash, Mode::Peek)
    }

    /// Gives back a token that was taken just now.
    pub(crate) fn give_back(&self, hash: u64) {
        self.table.give_back(hash, self.interval);
    }

    /// Takes so many tokens whether they are there or not, and says how long until they were: at most
    /// `wait_max`, and what would take longer is forgiven.
    pub(crate) fn owe(&self, hash: u64, count: NonZeroU32, wait_max: Duration) -> Duration {
        // No bucket ever holds more than the burst, so more is asked for in pieces.
        let mut left = count.get();
        let mut wait = Duration::ZERO;
        while let Some(count) = NonZeroU32::new(left.min(self.burst.get())) {
            left -= count.get();
            // Most have them, and to look at the clock once more is half of what it costs.
            let asked = self.ask_for(hash, count, Mode::Take).or_else(|_| {
                let full_at_max = self.full_at_max(wait_max);
                self.ask_for(hash, count, Mode::Owe { full_at_max })
            });
            wait = asked.err().map_or(wait, |owed| owed.min(wait_max));
        }
        wait
    }

    /// When a bucket is full again at the latest that is owed as much as takes `wait_max`.
    fn full_at_max(&self, wait_max: Duration) -> u64 {
        let now = self.limiter.clock().now().duration_since(self.begun_at);
        let burst_nanos = self.interval.saturating_mul(self.burst.get().into());
        let owed_max = burst_nanos.saturating_add(Nanos::from(wait_max).as_u64());
        now.as_u64().saturating_add(owed_max)
    }

    /// So many tokens, at most the burst.
    fn ask_for(&self, hash: u64, count: NonZeroU32, mode: Mode) -> Result<(), Duration> {
        let weight = self.interval.saturating_mul(count.get().into());
        let ask = Ask { hash, weight, mode };
        let asked = self.limiter.check_key_n(&ask, count);
        // More than the burst is never asked for.
        asked
            .unwrap_or(Ok(()))
            .map_err(|not_until| self.wait(&not_until))
    }

    /// How much memory it takes, in bytes.
    pub(crate) fn size(&self) -> usize {
        self.table.size()
    }

    fn ask(&self, hash: u64, mode: Mode) -> Result<(), Duration> {
        let weight = self.interval;
        let asked = self.limiter.check_key(&Ask { hash, weight, mode });
        asked.map_err(|not_until| self.wait(&not_until))
    }

    fn wait(&self, not_until: &NotUntil<C::Instant>) -> Duration {
        not_until.wait_time_from(self.limiter.clock().now())
    }
}

/// The table, as governor has it.
struct SharedTable(Arc<Table>);

impl StateStore for SharedTable {
    type Key = Ask;

    fn measure_and_replace<T, F, E>(&self, ask: &Ask, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        self.0.measure_and_replace(ask, decide)
    }
}
