//! A bound on lines of the log that others can cause.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

const WINDOW: Duration = Duration::from_secs(60);

/// Allows so many lines in a minute and counts the rest.
#[derive(Debug)]
pub(crate) struct LogBudget {
    line_count_max: u32,
    window: Mutex<Option<Window>>,
}

#[derive(Debug)]
struct Window {
    began: Instant,
    count: u32,
}

impl LogBudget {
    pub(crate) fn new(line_count_max: u32) -> Self {
        Self {
            line_count_max,
            window: Mutex::default(),
        }
    }

    /// Whether a line may be written: if so, how many were not since the last window.
    pub(crate) fn take(&self, now: Instant) -> Option<u32> {
        // Counting does not panic halfway.
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *window {
            Some(Window { began, count }) if now.duration_since(*began) < WINDOW => {
                *count = count.saturating_add(1);
                (*count <= self.line_count_max).then_some(0)
            }
            _ => {
                let before = window.replace(Window {
                    began: now,
                    count: 1,
                });
                Some(before.map_or(0, |w| w.count.saturating_sub(self.line_count_max)))
            }
        }
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
        assert_eq!(budget.take(start + WINDOW), Some(990));
        assert_eq!(budget.take(start + WINDOW), Some(0));
        assert_eq!(budget.take(start + 3 * WINDOW), Some(0));
    }
}
