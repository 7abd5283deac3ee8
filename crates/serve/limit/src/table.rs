//! Where governor keeps its state: a table of fixed size.

use std::sync::{Mutex, MutexGuard, PoisonError};

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
/// Each line has its own lock, which is held for the time of a comparison.
pub(crate) struct Table {
    lines: Box<[Mutex<Line>]>,
    /// Buckets that had to go before they were full again.
    forgotten: Counter,
}

type Line = [Slot; SLOTS_PER_LINE];

/// A bucket. One of all zeros is nobody's, and full.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    hash: u64,
    /// When it is full again, in nanoseconds since the limit began.
    full_at: u64,
}

/// Whose bucket is asked for what.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Ask {
    pub(crate) hash: u64,
    /// How long what is asked for takes to come back, in nanoseconds.
    pub(crate) weight: u64,
    pub(crate) mode: Mode,
}

/// What becomes of the bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Mode {
    /// It gives what it has enough of.
    Take,
    /// It gives in any case, and owes what it has not, up to a bound.
    Owe {
        /// The latest that it may be full again, in nanoseconds since the limit began.
        full_at_max: u64,
    },
    /// It stays as it is.
    Peek,
}

impl Table {
    pub(crate) fn new(slot_count_min: usize, forgotten: Counter) -> Self {
        let lines = (0..slot_count_min.div_ceil(SLOTS_PER_LINE)).map(|_| Mutex::default());
        Self {
            lines: lines.collect(),
            forgotten,
        }
    }

    /// How much memory it takes, now and ever, in bytes.
    pub(crate) fn size(&self) -> usize {
        size_of_val(&*self.lines)
    }

    /// Puts back what was taken.
    pub(crate) fn give_back(&self, hash: u64, weight: u64) {
        let mut line = self.line(hash);
        if let Some(slot) = line.iter_mut().find(|slot| slot.hash == hash) {
            slot.full_at = slot.full_at.saturating_sub(weight);
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
    type Key = Ask;

    fn measure_and_replace<T, F, E>(&self, ask: &Ask, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut line = self.line(ask.hash);
        let own = line.iter_mut().find(|slot| slot.hash == ask.hash);
        let decided = decide(own.as_ref().map(|slot| slot.full_at.into()));
        if ask.mode == Mode::Peek {
            return decided.map(|(outcome, _)| outcome);
        }
        match (decided, own) {
            (Ok((outcome, full_at)), Some(own)) => {
                own.full_at = full_at.as_u64();
                Ok(outcome)
            }
            (Ok((outcome, full_at)), None) => {
                let [first, others @ ..] = &mut *line;
                let soonest =
                    others
                        .iter_mut()
                        .fold(first, |one, other| match other.full_at < one.full_at {
                            true => other,
                            false => one,
                        });
                let full_at = full_at.as_u64();
                // A bucket of which nothing had been taken is full again after the weight.
                let now = full_at.saturating_sub(ask.weight);
                if soonest.full_at > now {
                    self.forgotten.inc();
                }
                *soonest = Slot {
                    hash: ask.hash,
                    full_at,
                };
                Ok(outcome)
            }
            (Err(refusal), own) => {
                if let (Mode::Owe { full_at_max }, Some(own)) = (ask.mode, own) {
                    let full_at = own.full_at.saturating_add(ask.weight);
                    own.full_at = full_at.min(full_at_max);
                }
                Err(refusal)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// A table of one line, in which everybody meets.
    fn table() -> Table {
        let forgotten = quorate_metrics::Counter::new("forgotten", "how many").unwrap();
        Table::new(SLOTS_PER_LINE, forgotten)
    }

    impl Table {
        /// Asks for a token that takes `weight` seconds to come back of a bucket that gives whatever
        /// it is asked for.
        fn ask(&self, hash: u64, mode: Mode, now: u64, weight: u64) -> Option<u64> {
            let weight = weight * SECOND;
            let ask = Ask { hash, weight, mode };
            let decide = |held: Option<Nanos>| {
                let held_nanos = held.map(|held| held.as_u64());
                let begin = held_nanos.unwrap_or(0).max(now * SECOND);
                Ok::<_, ()>((held_nanos, (begin + weight).into()))
            };
            let held = self.measure_and_replace(&ask, decide).unwrap();
            held.map(|held| held / SECOND)
        }
    }

    #[test]
    fn who_used_the_least_makes_room() {
        let table = table();
        for hash in 1..=8 {
            assert_eq!(table.ask(hash, Mode::Take, 100, hash), None);
        }
        assert_eq!(table.forgotten.get(), 0, "there was room");
        assert_eq!(table.ask(9, Mode::Take, 100, 5), None);
        assert_eq!(table.forgotten.get(), 1);
        for hash in 2..=8 {
            assert_eq!(table.ask(hash, Mode::Peek, 100, 1), Some(100 + hash));
        }
        assert_eq!(table.ask(1, Mode::Peek, 100, 1), None, "it is forgotten");
        assert_eq!(table.ask(10, Mode::Take, 103, 1), None);
        assert_eq!(table.forgotten.get(), 1, "bucket 2 was full again");
    }

    #[test]
    fn a_look_changes_nothing_and_what_is_given_back_is_there() {
        let table = table();
        assert_eq!(table.ask(1, Mode::Peek, 100, 1), None);
        assert_eq!(table.ask(1, Mode::Peek, 100, 1), None, "no place was taken");
        table.ask(1, Mode::Take, 100, 7);
        table.ask(1, Mode::Take, 100, 7);
        table.give_back(1, 7 * SECOND);
        table.give_back(2, 7 * SECOND);
        assert_eq!(table.ask(1, Mode::Peek, 100, 1), Some(107));
    }

    #[test]
    fn the_size_is_what_was_asked_for_and_stays() {
        for (slot_count_min, lines) in [(1, 1), (8, 1), (9, 2), (50_000, 6_250)] {
            let counter = table().forgotten;
            let table = Table::new(slot_count_min, counter);
            let size = table.size();
            assert_eq!(size, lines * size_of::<Mutex<Line>>());
            for hash in 0..1_000_u64 {
                table.ask(hash.wrapping_mul(0x9e37_79b9_7f4a_7c15), Mode::Take, 1, 1);
            }
            assert_eq!(table.size(), size);
        }
    }
}
