//! Positions in the log (Raft paper, section 5.3).

use std::fmt;

use serde::{Deserialize, Serialize};

/// Defines a number that Raft counts up.
macro_rules! ordinal {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

ordinal! {
    /// A term, in which at most one node leads.
    Term
}

ordinal! {
    /// The index of an entry. The first entry of a log has index 0 or 1; 0 also means "no entry" where a
    /// value is needed.
    LogIndex
}

impl LogIndex {
    /// The next index.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// How many entries this is behind `other`; zero if it is not.
    pub fn lag_behind(self, other: Self) -> u64 {
        other.0.saturating_sub(self.0)
    }
}

/// The position of a log entry, which is unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LogPosition {
    /// Term of the leader that proposed the entry.
    pub term: Term,
    pub index: LogIndex,
}

impl LogPosition {
    /// A position from plain numbers.
    pub const fn new(term: u64, index: u64) -> Self {
        Self {
            term: Term(term),
            index: LogIndex(index),
        }
    }
}
