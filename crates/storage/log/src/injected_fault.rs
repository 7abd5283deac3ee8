//! Bugs that tests inject, to prove that they would be found.

/// A rule of the log that a test breaks on purpose.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InjectedFault {
    /// Callbacks are called before the sync.
    AckBeforeSync,
    /// The header and the name of a new segment are not synced.
    NoSyncAtSegmentChange,
    /// Synced groups that cannot be read are cut off.
    CutBelowSynced,
    /// A vote is not synced.
    VoteNotSynced,
}
