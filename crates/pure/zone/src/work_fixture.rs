//! Counts steps of work in tests.

use std::cell::Cell;

thread_local! {
    static STEPS: Cell<u64> = const { Cell::new(0) };
}

pub(crate) fn step() {
    STEPS.set(STEPS.get() + 1);
}

/// The number of steps that `run` takes.
pub(crate) fn of<T>(run: impl FnOnce() -> T) -> u64 {
    let before = STEPS.get();
    run();
    STEPS.get() - before
}
