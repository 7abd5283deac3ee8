//! How many images a test opens.

use std::{
    env,
    sync::atomic::{AtomicUsize, Ordering},
    time::Instant,
};

/// What `make test` has time for, in images.
const IMAGES_DEFAULT: usize = 3_000;

/// What all tests have opened and printed.
static TOTAL: AtomicUsize = AtomicUsize::new(0);

/// Images opened and still to be opened.
#[derive(Debug)]
pub(crate) struct Budget {
    pub(crate) opened: usize,
    count: usize,
    started: Instant,
}

impl Budget {
    pub(crate) fn new(count: usize) -> Self {
        Self {
            opened: 0,
            count,
            started: Instant::now(),
        }
    }

    /// A part of what the environment asks for. Those of all tests make a hundred percent.
    pub(crate) fn share(percent: usize) -> Self {
        let asked = env::var("QUORATE_CRASH_IMAGES").ok();
        let count = asked.map_or(IMAGES_DEFAULT, |count| count.parse().unwrap());
        Self::new((count * percent).div_ceil(100))
    }

    pub(crate) fn is_spent(&self) -> bool {
        self.opened >= self.count
    }

    pub(crate) fn print(&self, what: &str, worlds: u64) {
        let (opened, took) = (self.opened, self.started.elapsed());
        let total = TOTAL.fetch_add(opened, Ordering::Relaxed) + opened;
        println!("{what}: {opened} images of {worlds} worlds in {took:.1?}; {total} in all so far");
    }
}
