//! Which queries are looked at more closely.

use std::cell::Cell;

thread_local! {
    /// How many queries this thread has answered.
    static ANSWERED: Cell<u32> = const { Cell::new(0) };
}

/// Of so many queries one is timed: two looks at the clock cost a tenth of an answer.
const TIMED_ONE_IN: u32 = 64;

/// A query's number on its thread: a sample by it costs no look at what threads share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Nth(pub(crate) u32);

impl Nth {
    /// The number of a query that comes now.
    pub(crate) fn next() -> Self {
        Self(ANSWERED.replace(ANSWERED.get().wrapping_add(1)))
    }

    /// Whether the query is timed.
    pub(crate) fn is_timed(self) -> bool {
        self.0.is_multiple_of(TIMED_ONE_IN)
    }
}
