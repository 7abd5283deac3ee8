//! Selects a sample of the queries, for logs and for timing.

use std::cell::Cell;

thread_local! {
    /// How many queries this thread has answered.
    static ANSWERED: Cell<u32> = const { Cell::new(0) };
}

/// One of this many queries is timed: reading the clock twice costs a tenth of an answer.
const TIMED_ONE_IN: u32 = 64;

/// The number of a query on its thread. Sampling by it needs no state that threads share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueryNumber(pub(crate) u32);

impl QueryNumber {
    /// The number of the next query.
    pub(crate) fn next() -> Self {
        Self(ANSWERED.replace(ANSWERED.get().wrapping_add(1)))
    }

    /// Whether the query is timed.
    pub(crate) fn is_timed(self) -> bool {
        self.0.is_multiple_of(TIMED_ONE_IN)
    }
}
