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
    /// It gives in any case, and owes what it has not.
    Owe,
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
                if let (Mode::Owe, Some(own)) = (ask.mode, own) {
                    own.full_at = own.full_at.saturating_add(ask.weight);
                }
                Err(refusal)
            }
        }
    }
}
