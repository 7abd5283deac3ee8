//! Feature levels: which commands a program knows, and which a cluster uses.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A feature level. It stands for itself and for all below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Level(pub u16);

/// The highest feature level that this program supports.
pub const LEVEL_MAX: Level = Level::PUBLISHING;

impl Level {
    /// What every program knows, and where every cluster begins.
    pub const FIRST: Self = Self(1);

    /// A batch carries the limit on the timestamps of its packets, and packets have a capacity.
    pub const CAPACITY: Self = Self(2);

    /// The cluster has an id, and knows more of its members than Raft does.
    pub const MEMBERS: Self = Self(3);

    /// The cluster has zones of replicated records, and secrets of DNS cookies.
    pub const ZONES: Self = Self(4);

    /// Packets are stored on conditions, operators delete them, and the cluster knows who may publish.
    pub const PUBLISHING: Self = Self(5);

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
