//! Feature levels: which commands a program supports, and which a cluster uses.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A feature level. It includes all lower ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Level(pub u16);

/// The highest feature level that this program supports.
pub const LEVEL_MAX: Level = Level::FIRST;

impl Level {
    /// The level of every program and of every new cluster. Until a version is tagged, all commands belong
    /// to it.
    pub const FIRST: Self = Self(1);

    /// Fails if a program that supports `supported` must stop at something of this level.
    pub fn check(self, supported: Self) -> Result<(), UnsupportedLevel> {
        match self <= supported {
            true => Ok(()),
            false => Err(UnsupportedLevel {
                needed: self,
                supported,
            }),
        }
    }
}

impl Default for Level {
    fn default() -> Self {
        Self::FIRST
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Something above the level of this program. Fatal to the node: other nodes apply it, and a node that
/// skipped it would differ from them for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "feature level {needed} is needed, and this program knows {supported}: run a newer version of \
     Quorate"
)]
pub struct UnsupportedLevel {
    pub needed: Level,
    /// The highest level that this program supports.
    pub supported: Level,
}
