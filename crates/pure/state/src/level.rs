//! Feature levels: which commands a program knows, and which a cluster uses.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A feature level. It stands for itself and for all below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Level(pub u16);

/// The highest feature level that this program supports.
pub const LEVEL_MAX: Level = Level::FIRST;

impl Level {
    /// What every program knows, and where every cluster begins. Until a version is tagged, all
    /// commands belong to it.
    pub const FIRST: Self = Self(1);

    /// Fails if a program that supports `supported` must not go on with what needs this level.
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

/// What is beyond this program. Fatal to the node: nodes that know it go on with it, and one that
/// skipped it would differ from them for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "feature level {needed} is needed, and this program knows {supported}: run a newer version of \
     Quorate"
)]
pub struct UnsupportedLevel {
    pub needed: Level,
    /// The highest that this program supports.
    pub supported: Level,
}
