//! The state of governor's token buckets, in a table of fixed size.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use governor::{nanos::Nanos, state::StateStore};
use quorate_metrics::Counter;

/// How many slots a bucket can be in: few enough that a search costs two cache misses, and enough
/// that a flood hardly ever fills a group with busy buckets only.
const SLOTS_PER_GROUP: usize = 8;

/// Buckets, each found by the hash of its owner.
///
/// If all slots of its group are taken, a new bucket replaces the one that is full again the
/// soonest. So a flood of strangers makes the table forget owners that used little, never those
/// that used much. A forgotten owner has a full bucket, so nobody is rejected because there are
/// many others.
///
/// Each group has its own lock, which is held for the time of a comparison. All times are in
/// nanoseconds since the limit started.
#[derive(Clone)]
pub(crate) struct Table {
    groups: Arc<[Mutex<SlotGroup>]>,
    /// How long the refill of one token takes, in nanoseconds. governor takes one token at a time.
    interval: u64,
    /// Buckets that were evicted before they were full again.
    forgotten: Counter,
}

type SlotGroup = [Slot; SLOTS_PER_GROUP];

/// A bucket. All zeros is a free slot, and a full bucket.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    hash: u64,
    /// When it is full again.
    full_at: u64,
}

impl Table {
    pub(crate) fn new(slot_count_min: usize, interval: u64, forgotten: Counter) -> Self {
        let groups = (0..slot_count_min.div_ceil(SLOTS_PER_GROUP)).map(|_| Mutex::default());
        Self {
            groups: groups.collect(),
            interval,
            forgotten,
        }
    }

    /// The memory that the table takes, in bytes. It never changes.
    pub(crate) fn size(&self) -> usize {
        size_of_val(&*self.groups)
    }

    /// When a bucket is full again.
    pub(crate) fn full_at(&self, hash: u64) -> u64 {
        let group = self.group(hash);
        let own = group.iter().find(|slot| slot.hash == hash);
        own.map_or(0, |slot| slot.full_at)
    }

    /// Takes tokens whose refill takes `cost`, unless `decide` fails. `decide` receives the time at
    /// which the bucket is full again, if it is in the table, and returns the new time.
    pub(crate) fn take<T, E>(
        &self,
        hash: u64,
        cost: u64,
        decide: impl FnOnce(Option<u64>) -> Result<(T, u64), E>,
    ) -> Result<T, E> {
        let mut group = self.group(hash);
        let own = group.iter().position(|slot| slot.hash == hash);
        let (outcome, full_at) = decide(own.map(|at| group[at].full_at))?;
        let at = own.unwrap_or_else(|| {
            let soonest = (0..SLOTS_PER_GROUP).min_by_key(|at| group[*at].full_at);
            let soonest = soonest.unwrap_or_default();
            // The bucket was full, so it is full again after the cost.
            let now = full_at.saturating_sub(cost);
            if group[soonest].full_at > now {
                self.forgotten.inc();
            }
            soonest
        });
        group[at] = Slot { hash, full_at };
        Ok(outcome)
    }

    /// Puts back the token that governor took.
    pub(crate) fn give_back(&self, hash: u64) {
        let mut group = self.group(hash);
        if let Some(slot) = group.iter_mut().find(|slot| slot.hash == hash) {
            slot.full_at = slot.full_at.saturating_sub(self.interval);
        }
    }

    fn group(&self, hash: u64) -> MutexGuard<'_, SlotGroup> {
        // The upper half of the hash selects one of all groups.
        let at = ((hash >> 32) * self.groups.len() as u64) >> 32;
        // No code that holds this lock can panic with the group half changed.
        self.groups[at as usize]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl StateStore for Table {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, hash: &u64, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        self.take(*hash, self.interval, |full_at| {
            let (outcome, full_at) = decide(full_at.map(Nanos::from))?;
            Ok((outcome, full_at.as_u64()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// A table of one group, which all buckets share.
    fn table() -> Table {
        let forgotten = quorate_metrics::Counter::new("forgotten", "how many").unwrap();
        Table::new(SLOTS_PER_GROUP, 7 * SECOND, forgotten)
    }

    impl Table {
        /// Takes tokens whose refill takes `cost` seconds, even if the bucket has fewer. Returns
        /// when the bucket would have been full again before, in seconds, if it was in the table.
        fn take_secs(&self, hash: u64, now: u64, cost: u64) -> Option<u64> {
            let cost = cost * SECOND;
            let full_at = self.take(hash, cost, |full_at| {
                let begin = full_at.unwrap_or(0).max(now * SECOND);
                Ok::<_, ()>((full_at, begin + cost))
            });
            full_at.unwrap().map(|full_at| full_at / SECOND)
        }
    }

    #[test]
    fn the_bucket_that_used_the_least_is_evicted() {
        let table = table();
        for hash in 1..=8 {
            assert_eq!(table.take_secs(hash, 100, hash), None);
        }
        assert_eq!(table.forgotten.get(), 0, "there was room");
        assert_eq!(table.take_secs(9, 100, 5), None);
        assert_eq!(table.forgotten.get(), 1);
        for hash in 2..=8 {
            assert_eq!(table.full_at(hash), (100 + hash) * SECOND);
        }
        assert_eq!(table.full_at(1), 0, "it is forgotten");
        assert_eq!(table.take_secs(10, 103, 1), None);
        assert_eq!(table.forgotten.get(), 1, "bucket 2 was full again");
    }

    #[test]
    fn reading_changes_nothing_and_a_token_can_be_given_back() {
        let table = table();
        assert_eq!(table.full_at(1), 0);
        assert_eq!(table.take_secs(1, 100, 7), None, "no place was taken");
        assert_eq!(table.take_secs(1, 100, 7), Some(107));
        table.give_back(1);
        table.give_back(2);
        assert_eq!(table.full_at(1), 107 * SECOND);
    }

    #[test]
    fn a_rejected_take_changes_nothing() {
        let table = table();
        table.take_secs(1, 100, 7);
        for hash in [1, 2] {
            let rejected = table.take(hash, SECOND, |_| Err::<((), u64), _>("rejected"));
            assert_eq!(rejected, Err("rejected"));
        }
        assert_eq!(table.full_at(1), 107 * SECOND);
        assert_eq!(table.full_at(2), 0);
    }

    #[test]
    fn the_table_has_the_requested_size_and_keeps_it() {
        for (slot_count_min, groups) in [(1, 1), (8, 1), (9, 2), (50_000, 6_250)] {
            let counter = table().forgotten;
            let table = Table::new(slot_count_min, SECOND, counter);
            let size = table.size();
            assert_eq!(size, groups * size_of::<Mutex<SlotGroup>>());
            for hash in 0..1_000_u64 {
                table.take_secs(hash.wrapping_mul(0x9e37_79b9_7f4a_7c15), 1, 1);
            }
            assert_eq!(table.size(), size);
        }
    }
}
