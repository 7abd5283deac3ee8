//! A rate limit for each of many clients, networks or keys.

use std::{num::NonZeroU32, time::Duration};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, Reference},
    middleware::NoOpMiddleware,
    nanos::Nanos,
};
use quorate_metrics::Counter;

use crate::table::Table;

/// Token buckets (GCRA) with the same burst and the same rate, each found by a hash.
///
/// governor can only take tokens that a bucket has. It cannot read a bucket without taking, or give
/// tokens back: this type does that, on the table with governor's state.
pub(crate) struct Rate<C: Clock> {
    limiter: RateLimiter<u64, Table, C, NoOpMiddleware<C::Instant>>,
    table: Table,
    /// Not earlier than the start of the limiter, so that waiting times are never too short.
    started_at: C::Instant,
    /// How long the refill of one token takes, in nanoseconds.
    interval: u64,
    /// How long the refill of an empty bucket takes, in nanoseconds.
    depth: u64,
}

/// How many tokens a bucket holds, and how many are added in each period.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TokenRate {
    burst: u32,
    per_period: u32,
    period_secs: u64,
}

impl TokenRate {
    /// A burst or rate of 0 counts as 1. The bounds of settings exclude 0.
    pub(crate) fn new(burst: u32, per_period: u32, period_secs: u64) -> Self {
        Self {
            burst: burst.max(1),
            per_period: per_period.max(1),
            period_secs,
        }
    }

    /// This rate and burst, multiplied.
    pub(crate) fn times(self, multiple: u32) -> Self {
        Self {
            burst: self.burst.saturating_mul(multiple),
            per_period: self.per_period.saturating_mul(multiple),
            ..self
        }
    }

    /// So many tenths of this rate and burst.
    pub(crate) fn tenths(self, count: u32) -> Self {
        let burst = u64::from(self.burst) * u64::from(count) / 10;
        Self {
            burst: u32::try_from(burst).unwrap_or(u32::MAX).max(1),
            per_period: self.per_period.saturating_mul(count),
            period_secs: self.period_secs * 10,
        }
    }

    /// How many tokens a bucket holds.
    pub(crate) fn burst(self) -> u32 {
        self.burst
    }

    /// How long the refill of `count` tokens takes, in nanoseconds.
    pub(crate) fn refill_nanos(self, count: u32) -> u64 {
        let nanos = u128::from(count) * u128::from(self.period_secs) * 1_000_000_000;
        u64::try_from(nanos / u128::from(self.per_period)).unwrap_or(u64::MAX)
    }
}

impl<C: Clock> Rate<C> {
    /// Buckets for at least `slot_count_min` hashes at the same time.
    pub(crate) fn new(
        rate: TokenRate,
        slot_count_min: usize,
        forgotten: Counter,
        clock: C,
    ) -> Self {
        let period = Duration::from_secs(rate.period_secs);
        let interval = (period / rate.per_period).max(Duration::from_nanos(1));
        let burst = NonZeroU32::new(rate.burst).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::with_period(interval).expect("the interval is at least a nanosecond");
        let interval = Nanos::from(interval).as_u64();
        let table = Table::new(slot_count_min, interval, forgotten);
        let limiter = RateLimiter::new(quota.allow_burst(burst), table.clone(), clock);
        Self {
            table,
            started_at: limiter.clock().now(),
            interval,
            depth: interval.saturating_mul(burst.get().into()),
            limiter,
        }
    }

    /// Takes a token. If there is none, returns how long until there is one.
    pub(crate) fn take(&self, hash: u64) -> Result<(), Duration> {
        let taken = self.limiter.check_key(&hash);
        taken.map_err(|not_until| not_until.wait_time_from(self.limiter.clock().now()))
    }

    /// Returns how long until there is a token: zero if there is one.
    pub(crate) fn peek(&self, hash: u64) -> Duration {
        let missing = self.table.full_at(hash).saturating_sub(self.now());
        Duration::from_nanos((missing + self.interval).saturating_sub(self.depth))
    }

    /// Returns a token to the bucket that it was just taken from.
    pub(crate) fn give_back(&self, hash: u64) {
        self.table.give_back(hash);
    }

    /// The memory that the table takes, in bytes.
    pub(crate) fn size(&self) -> usize {
        self.table.size()
    }

    fn now(&self) -> u64 {
        let now = self.limiter.clock().now();
        now.duration_since(self.started_at).as_u64()
    }
}
