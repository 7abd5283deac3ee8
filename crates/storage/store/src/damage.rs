//! What is damaged in a file.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use quorate_packet::PublicKey;

/// The keys of how many damaged packets are listed: enough to see a pattern.
pub(crate) const KEY_COUNT_MAX: usize = 16;

/// What in a file differs from what was written to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    pub path: PathBuf,
    /// What is wrong with the file.
    pub reason: String,
    /// The keys of the first packets with a wrong checksum. The keys may be damaged too.
    pub keys: Vec<PublicKey>,
    /// The number of packets with a wrong checksum.
    pub damaged_count: u64,
    /// The number of packets that the meta row states, minus those found. Zero when the file could
    /// not be read to its end.
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

    /// The number of packets that are known to be damaged or missing.
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
            let count = self.damaged_count;
            write!(f, ", {count} packets, the first is that of key {key}")?;
        }
        if self.missing_count != 0 {
            write!(f, ", {} missing", self.missing_count)?;
        }
        f.write_str("): restore it from a snapshot of another node")
    }
}

#[cfg(test)]
#[path = "damage_tests.rs"]
mod tests;
