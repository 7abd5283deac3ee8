//! Log lines about the progress of preparing packets.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Instant,
};

/// After how many packets a line is logged: about a second of work, so that a start of several
/// seconds does not look as if it hangs.
const PACKETS_PER_LINE: usize = 500_000;

/// Counts packets, and logs the count periodically.
pub(crate) struct Progress {
    count: usize,
    done: AtomicUsize,
    started: Instant,
}

impl Progress {
    pub(crate) fn start(count: usize) -> Self {
        Self {
            count,
            done: AtomicUsize::new(0),
            started: Instant::now(),
        }
    }

    pub(crate) fn advance(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if done.is_multiple_of(PACKETS_PER_LINE) && done < self.count {
            tracing::info!(done, of = self.count, "making packets ready to be served");
        }
    }

    pub(crate) fn finish(self) {
        let milliseconds = self.started.elapsed().as_millis();
        match self.count {
            0 => {}
            packets => tracing::info!(packets, milliseconds, "packets are ready to be served"),
        }
    }
}
