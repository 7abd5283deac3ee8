//! Timestamps of signers.

use std::{
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};

/// A packet's timestamp: microseconds since the Unix epoch, chosen by the signer, the `seq` of
/// BEP 44. Of two packets of one key the one with the larger timestamp wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// From microseconds since the Unix epoch. A signer may choose any value, also `u64::MAX`.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the Unix epoch.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The same time as a [`SystemTime`], or `None` if the platform cannot represent it.
    pub fn to_system_time(self) -> Option<SystemTime> {
        UNIX_EPOCH.checked_add(std::time::Duration::from_micros(self.0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
