//! What was found damaged.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use quorate_packet::PublicKey;

/// How many damaged packets are named: enough to see a pattern.
pub(crate) const KEY_COUNT_MAX: usize = 16;

/// What in a file cannot be what was written to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
    /// The first of the packets that fail their checksum, as far as their keys can be believed.
    pub keys: Vec<PublicKey>,
    /// The number of packets that fail their checksum.
    pub damaged_count: u64,
    /// How many packets the file says to hold beyond those found in it; negative if there are more.
    /// Zero when it could not be read to its end.
    pub missing_count: i64,
}

impl Damage {
    pub(crate) fn new(path: &Path, reason: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            reason: reason.into(),
            keys: Vec::new(),
            damaged_count: 0,
            missing_count: 0,
        }
    }

    /// The number of packets that are not there as they were written, as far as known.
    pub fn packet_count(&self) -> u64 {
        self.damaged_count + self.missing_count.unsigned_abs()
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the store {} is damaged ({}",
            self.path.display(),
            self.reason
        )?;
        if let Some(key) = self.keys.first() {
            write!(f, ", {} packets, the first of {key}", self.damaged_count)?;
        }
        if self.missing_count != 0 {
            write!(f, ", {} missing", self.missing_count)?;
        }
        f.write_str("): replace it by a snapshot of another node")
    }
}

#[cfg(test)]
#[path = "damage_tests.rs"]
mod tests;
