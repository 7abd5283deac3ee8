//! How many images a test opens.

use std::{
    env,
    sync::atomic::{AtomicUsize, Ordering},
    time::Instant,
};

/// The number of images for which `make test` has time.
const IMAGES_DEFAULT: usize = 3_000;

/// The number of images that all finished tests have opened.
static TOTAL: AtomicUsize = AtomicUsize::new(0);

/// How many images a test has opened, and how many it must open.
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

    /// A share of the number of images in the environment. The shares of all tests add up to 100 %.
    pub(crate) fn share(percent: usize) -> Self {
        let count = env::var("QUORATE_CRASH_IMAGES").ok();
        let count = count.map_or(IMAGES_DEFAULT, |count| count.parse().unwrap());
        Self::new((count * percent).div_ceil(100))
    }

    pub(crate) fn is_spent(&self) -> bool {
        self.opened >= self.count
    }

    pub(crate) fn print(&self, what: &str, worlds: u64) {
        let (opened, took) = (self.opened, self.started.elapsed());
        let total = TOTAL.fetch_add(opened, Ordering::Relaxed) + opened;
        println!(
            "{what}: {opened} images of {worlds} worlds in {took:.1?}; {total} in total so far"
        );
    }
}
