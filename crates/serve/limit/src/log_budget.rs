//! Limits the log lines that strangers and other nodes can cause.

use std::{
    num::NonZeroU32,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

const WINDOW: Duration = Duration::from_secs(60);

/// How many lines were left out before one that is written, if any.
pub type Unlogged = Option<NonZeroU32>;

/// Allows a number of lines per minute and counts the rest.
#[derive(Debug)]
pub struct LogBudget {
    line_count_max: u32,
    window: Mutex<Window>,
}

#[derive(Debug)]
struct Window {
    began: Instant,
    count: u32,
}

impl LogBudget {
    /// A budget of `line_count_max` lines per minute.
    pub fn new(line_count_max: u32) -> Self {
        let began = Instant::now();
        Self {
            line_count_max,
            window: Mutex::new(Window { began, count: 0 }),
        }
    }

    /// Whether a line may be written: if so, how many were left out since the last window.
    pub fn take(&self, now: Instant) -> Option<Unlogged> {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let mut unlogged = 0;
        if now.duration_since(window.began) >= WINDOW {
            unlogged = window.count.saturating_sub(self.line_count_max);
            *window = Window {
                began: now,
                count: 0,
            };
        }
        window.count = window.count.saturating_add(1);
        (window.count <= self.line_count_max).then(|| NonZeroU32::new(unlogged))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_writes_few_lines_and_is_counted() {
        let budget = LogBudget::new(10);
        let start = Instant::now();
        let written = (0..1000).filter(|_| budget.take(start).is_some()).count();
        assert_eq!(written, 10);
        assert_eq!(budget.take(start + WINDOW), Some(NonZeroU32::new(990)));
        assert_eq!(budget.take(start + WINDOW), Some(None));
        assert_eq!(budget.take(start + 3 * WINDOW), Some(None));
    }
}
