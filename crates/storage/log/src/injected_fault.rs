//! Bugs that tests plant, to see that they would be found.

/// A rule of the log that is broken on purpose.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InjectedFault {
    /// Callbacks come before the sync.
    AckBeforeSync,
    /// The header and the name of a new segment are not synced.
    NoSyncAtSegmentChange,
    /// What was synced and cannot be read is cut off.
    CutBelowSynced,
    /// A vote is not synced.
    VoteNotSynced,
}
