//! How far a long work is, for the log.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Instant,
};

/// After how many packets a line is due: a second or so of work, so that nobody takes a start of
/// seconds for one that hangs.
const LINE_COUNT: usize = 500_000;

/// Counts packets, and says so now and then.
pub(crate) struct Progress {
    count: usize,
    done: AtomicUsize,
    began: Instant,
}

impl Progress {
    pub(crate) fn begin(count: usize) -> Self {
        Self {
            count,
            done: AtomicUsize::new(0),
            began: Instant::now(),
        }
    }

    pub(crate) fn advance(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if done.is_multiple_of(LINE_COUNT) && done < self.count {
            tracing::info!(done, of = self.count, "making packets ready to be served");
        }
    }

    pub(crate) fn end(self) {
        let milliseconds = self.began.elapsed().as_millis();
        match self.count {
            0 => {}
            packets => tracing::info!(packets, milliseconds, "packets are ready to be served"),
        }
    }
}
