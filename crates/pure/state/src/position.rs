//! Where entries stand in the log (Raft paper, section 5.3).

use std::fmt;

use serde::{Deserialize, Serialize};

/// A number that Raft counts up.
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
    /// A term: the time in which at most one node leads.
    Term
}

ordinal! {
    /// The index of an entry. The first entry of a log has 0 or 1; where a value is needed and there
    /// is no entry, 0 stands for none.
    LogIndex
}

impl LogIndex {
    /// The index behind this one.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// How many entries this is behind `other`; zero when it is not.
    pub fn lag_behind(self, other: Self) -> u64 {
        other.0.saturating_sub(self.0)
    }
}

/// An entry of the log: no two entries have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LogPosition {
    /// Term of the leader that proposed the entry.
    pub term: Term,
    pub index: LogIndex,
}

impl LogPosition {
    /// The position of these numbers.
    pub const fn new(term: u64, index: u64) -> Self {
        Self {
            term: Term(term),
            index: LogIndex(index),
        }
    }
}
