//! Kinds of power loss.

/// Which unsynced operations a power loss loses.
///
/// Bytes that a failed sync dropped are lost with the first two kinds. With the others they are
/// treated as unsynced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PowerLoss {
    /// All of them.
    Everything,
    /// None of them.
    Nothing,
    /// Sectors, sizes and names, chosen by the seed.
    Torn(u64),
    /// Complete writes, sizes and names, chosen by the seed. The last write of a file survives, if
    /// the size that survives allows it.
    Reordered(u64),
}

impl PowerLoss {
    /// One of each kind.
    #[must_use]
    pub fn all_kinds(seed: u64) -> [Self; 4] {
        [
            Self::Everything,
            Self::Nothing,
            Self::Torn(seed),
            Self::Reordered(seed),
        ]
    }
}
