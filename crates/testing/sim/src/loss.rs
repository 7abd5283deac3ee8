//! What a loss of power takes.

/// What a loss of power takes of that which is not synced.
///
/// What a failed sync dropped is lost in the first two, and as good as never synced in the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Loss {
    Everything,
    /// None of it.
    Nothing,
    /// Sectors, sizes and names, as the seed says.
    Torn(u64),
    /// Whole writes as the seed says, but never the last one of a file, if its size allows; and
    /// sizes and names.
    Reordered(u64),
}

impl Loss {
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
