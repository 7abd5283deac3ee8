//! When a client may come back.

use std::{fmt, num::NonZeroU64, time::Duration};

/// How long a client must wait for its next request: whole seconds, at least one, as the
/// `Retry-After` field of HTTP says it (RFC 9110, section 10.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RetryAfter(NonZeroU64);

impl RetryAfter {
    /// The wait, rounded up to whole seconds.
    pub fn from_wait(wait: Duration) -> Self {
        let secs = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Self(NonZeroU64::new(secs).unwrap_or(NonZeroU64::MIN))
    }

    /// Seconds, never 0.
    pub fn as_secs(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for RetryAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
