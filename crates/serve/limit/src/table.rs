//! Where governor keeps its state: a table of fixed size.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use governor::{nanos::Nanos, state::StateStore};
use quorate_metrics::Counter;

/// How many slots a bucket may be in: so few that looking through them costs two cache misses, and
/// so many that those of a flood hardly ever fill a line with busy buckets alone.
const SLOTS_PER_LINE: usize = 8;

/// Buckets, each known by the hash of whose it is.
///
/// A bucket that finds all slots of its line taken takes that of the bucket which is full again the
/// soonest. So a flood of strangers makes the table forget who used little, never who used much, and
/// whoever is forgotten has a full bucket: nobody is refused because others are many.
///
/// Each line has its own lock, which is held for the time of a comparison. All times are in
/// nanoseconds since the limit began.
#[derive(Clone)]
pub(crate) struct Table {
    lines: Arc<[Mutex<Line>]>,
    /// How long what governor takes takes to come back, in nanoseconds.
    interval: u64,
    /// Buckets that had to go before they were full again.
    forgotten: Counter,
}

type Line = [Slot; SLOTS_PER_LINE];

/// A bucket. One of all zeros is nobody's, and full.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    hash: u64,
    /// When it is full again.
    full_at: u64,
}

impl Table {
    pub(crate) fn new(slot_count_min: usize, interval: u64, forgotten: Counter) -> Self {
        let lines = (0..slot_count_min.div_ceil(SLOTS_PER_LINE)).map(|_| Mutex::default());
        Self {
            lines: lines.collect(),
            interval,
            forgotten,
        }
    }

    /// How much memory it takes, now and ever, in bytes.
    pub(crate) fn size(&self) -> usize {
        size_of_val(&*self.lines)
    }

    /// When a bucket is full again.
    pub(crate) fn full_at(&self, hash: u64) -> u64 {
        let line = self.line(hash);
        let own = line.iter().find(|slot| slot.hash == hash);
        own.map_or(0, |slot| slot.full_at)
    }

    /// Takes from a bucket what takes `cost` to come back, unless `decide` fails. It is told when the
    /// bucket would be full again, if it is known, and says when it is.
    pub(crate) fn take<T, E>(
        &self,
        hash: u64,
        cost: u64,
        decide: impl FnOnce(Option<u64>) -> Result<(T, u64), E>,
    ) -> Result<T, E> {
        let mut line = self.line(hash);
        let own = line.iter().position(|slot| slot.hash == hash);
        let (outcome, full_at) = decide(own.map(|at| line[at].full_at))?;
        let at = own.unwrap_or_else(|| {
            let soonest = (0..SLOTS_PER_LINE).min_by_key(|at| line[*at].full_at);
            let soonest = soonest.unwrap_or_default();
            // A bucket of which nothing had been taken is full again after the cost.
            let now = full_at.saturating_sub(cost);
            if line[soonest].full_at > now {
                self.forgotten.inc();
            }
            soonest
        });
        line[at] = Slot { hash, full_at };
        Ok(outcome)
    }

    /// Puts back what governor took.
    pub(crate) fn give_back(&self, hash: u64) {
        let mut line = self.line(hash);
        if let Some(slot) = line.iter_mut().find(|slot| slot.hash == hash) {
            slot.full_at = slot.full_at.saturating_sub(self.interval);
        }
    }

    fn line(&self, hash: u64) -> MutexGuard<'_, Line> {
        // The upper half of the hash, spread over all lines.
        let at = ((hash >> 32) * self.lines.len() as u64) >> 32;
        // Nothing in here leaves a line half changed.
        self.lines[at as usize]
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

    /// A table of one line, in which everybody meets.
    fn table() -> Table {
        let forgotten = quorate_metrics::Counter::new("forgotten", "how many").unwrap();
        Table::new(SLOTS_PER_LINE, 7 * SECOND, forgotten)
    }

    impl Table {
        /// Takes what takes `cost` seconds to come back of a bucket that gives whatever it is asked
        /// for, and says when it would have been full again, if it was known.
        fn give(&self, hash: u64, now: u64, cost: u64) -> Option<u64> {
            let cost = cost * SECOND;
            let held = self.take(hash, cost, |held| {
                let begin = held.unwrap_or(0).max(now * SECOND);
                Ok::<_, ()>((held, begin + cost))
            });
            held.unwrap().map(|held| held / SECOND)
        }
    }

    #[test]
    fn who_used_the_least_makes_room() {
        let table = table();
        for hash in 1..=8 {
            assert_eq!(table.give(hash, 100, hash), None);
        }
        assert_eq!(table.forgotten.get(), 0, "there was room");
        assert_eq!(table.give(9, 100, 5), None);
        assert_eq!(table.forgotten.get(), 1);
        for hash in 2..=8 {
            assert_eq!(table.full_at(hash), (100 + hash) * SECOND);
        }
        assert_eq!(table.full_at(1), 0, "it is forgotten");
        assert_eq!(table.give(10, 103, 1), None);
        assert_eq!(table.forgotten.get(), 1, "bucket 2 was full again");
    }

    #[test]
    fn a_look_changes_nothing_and_what_is_given_back_is_there() {
        let table = table();
        assert_eq!(table.full_at(1), 0);
        assert_eq!(table.give(1, 100, 7), None, "no place was taken");
        assert_eq!(table.give(1, 100, 7), Some(107));
        table.give_back(1);
        table.give_back(2);
        assert_eq!(table.full_at(1), 107 * SECOND);
    }

    #[test]
    fn what_is_refused_takes_nothing() {
        let table = table();
        table.give(1, 100, 7);
        for hash in [1, 2] {
            let refused = table.take(hash, SECOND, |_| Err::<((), u64), _>("refused"));
            assert_eq!(refused, Err("refused"));
        }
        assert_eq!(table.full_at(1), 107 * SECOND);
        assert_eq!(table.full_at(2), 0);
    }

    #[test]
    fn the_size_is_what_was_asked_for_and_stays() {
        for (slot_count_min, lines) in [(1, 1), (8, 1), (9, 2), (50_000, 6_250)] {
            let counter = table().forgotten;
            let table = Table::new(slot_count_min, SECOND, counter);
            let size = table.size();
            assert_eq!(size, lines * size_of::<Mutex<Line>>());
            for hash in 0..1_000_u64 {
                table.give(hash.wrapping_mul(0x9e37_79b9_7f4a_7c15), 1, 1);
            }
            assert_eq!(table.size(), size);
        }
    }
}
