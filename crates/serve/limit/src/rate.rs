//! A rate, for each of many.

use std::{convert::Infallible, num::NonZeroU32, time::Duration};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, Reference},
    middleware::NoOpMiddleware,
    nanos::Nanos,
};
use quorate_metrics::Counter;

use crate::table::Table;

/// Token buckets (GCRA) of one burst and one rate, each found by a hash.
///
/// governor takes tokens that are there. It cannot look at a bucket without taking, cannot take what
/// is not there yet, and gives nothing back: that is done here, in the table where it keeps its state.
pub(crate) struct Rate<C: Clock> {
    limiter: RateLimiter<u64, Table, C, NoOpMiddleware<C::Instant>>,
    table: Table,
    /// Never before the limiter began, so that nobody comes back too early.
    begun_at: C::Instant,
    /// How long one token takes to come back, in nanoseconds.
    interval: u64,
    /// The same of all tokens of a bucket.
    depth: u64,
}

/// So many tokens at once, and then so many each period.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowance {
    burst: u32,
    per_period: u32,
    period_secs: u64,
}

impl Allowance {
    /// The bounds of settings begin at 1, and 0 counts as 1.
    pub(crate) fn new(burst: u32, per_period: u32, period_secs: u64) -> Self {
        Self {
            burst: burst.max(1),
            per_period: per_period.max(1),
            period_secs,
        }
    }

    /// So many times as much.
    pub(crate) fn times(self, multiple: u32) -> Self {
        Self {
            burst: self.burst.saturating_mul(multiple),
            per_period: self.per_period.saturating_mul(multiple),
            ..self
        }
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
        let period = Duration::from_secs(allowance.period_secs);
        let interval = (period / allowance.per_period).max(Duration::from_nanos(1));
        let burst = NonZeroU32::new(allowance.burst).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::with_period(interval).expect("it takes a nanosecond at the least");
        let interval = Nanos::from(interval).as_u64();
        let table = Table::new(slot_count_min, interval, forgotten);
        let limiter = RateLimiter::new(quota.allow_burst(burst), table.clone(), clock);
        Self {
            table,
            begun_at: limiter.clock().now(),
            interval,
            depth: interval.saturating_mul(burst.get().into()),
            limiter,
        }
    }

    /// Takes a token, or says how long until there is one.
    pub(crate) fn take(&self, hash: u64) -> Result<(), Duration> {
        let taken = self.limiter.check_key(&hash);
        taken.map_err(|not_until| not_until.wait_time_from(self.limiter.clock().now()))
    }

    /// Says how long until there is a token: not at all if there is one.
    pub(crate) fn peek(&self, hash: u64) -> Duration {
        let missing = self.table.full_at(hash).saturating_sub(self.now());
        Duration::from_nanos((missing + self.interval).saturating_sub(self.depth))
    }

    /// Takes so many tokens whether they are there or not, and says how long until they were: at most
    /// `wait_max`, and what would take longer is forgiven.
    pub(crate) fn owe(&self, hash: u64, count: u32, wait_max: Duration) -> Duration {
        let missing_max = self.depth.saturating_add(Nanos::from(wait_max).as_u64());
        let cost = self.interval.saturating_mul(count.into()).min(missing_max);
        let now = self.now();
        let Ok(missing) = self.table.take(hash, cost, |full_at| {
            let missing = full_at.unwrap_or_default().saturating_sub(now);
            let missing = missing.saturating_add(cost).min(missing_max);
            Ok::<_, Infallible>((missing, now.saturating_add(missing)))
        });
        Duration::from_nanos(missing.saturating_sub(self.depth))
    }

    /// Gives back a token that was taken just now.
    pub(crate) fn give_back(&self, hash: u64) {
        self.table.give_back(hash);
    }

    /// How much memory it takes, in bytes.
    pub(crate) fn size(&self) -> usize {
        self.table.size()
    }

    fn now(&self) -> u64 {
        let now = self.limiter.clock().now();
        now.duration_since(self.begun_at).as_u64()
    }
}
