//! The bounds of the log, and the items that change them.

use bytes::Bytes;
use quorate_state::LogPosition;

/// The first, last, purged and committed position. The first item of every segment repeats them, so
/// that the segments before it can be removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LogBounds {
    /// Index of the first entry in the log, if there is one.
    pub(crate) first: u64,
    pub(crate) last: Option<LogPosition>,
    pub(crate) purged: Option<LogPosition>,
    pub(crate) committed: Option<LogPosition>,
}

/// A change of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    Bounds(LogBounds),
    Entry(LogPosition, Bytes),
    /// Removes the entries after this position.
    Truncate(Option<LogPosition>),
    /// Removes the entries up to this position.
    Purge(LogPosition),
    Committed(LogPosition),
}

impl LogBounds {
    /// The number of entries in the log.
    pub(crate) fn count(&self) -> u64 {
        self.last
            .map_or(0, |last| (last.index.0 + 1).saturating_sub(self.first))
    }

    /// The bounds after `item`, or why it cannot be the next item.
    pub(crate) fn after(mut self, item: &Item) -> Result<Self, String> {
        match *item {
            Item::Bounds(bounds) if bounds == self => {}
            Item::Bounds(bounds) => {
                return Err(format!("{bounds:?} was written, but {self:?} is expected"));
            }
            Item::Entry(position, _) => {
                self.check_entry(position)?;
                if self.count() == 0 {
                    self.first = position.index.0;
                }
                self.last = Some(position);
            }
            Item::Truncate(keep) => {
                self.check_truncate(keep)?;
                self.last = keep;
            }
            Item::Purge(upto) => {
                if self.has_purged(upto) {
                    return Err(format!("{upto:?} is already purged"));
                }
                if self.last.is_none_or(|last| last.index <= upto.index) {
                    self.last = Some(upto);
                }
                self.first = upto.index.next().0;
                self.purged = Some(upto);
            }
            Item::Committed(position) => {
                self.check_committed(position)?;
                self.committed = Some(position);
            }
        }
        Ok(self)
    }

    pub(crate) fn has_purged(&self, position: LogPosition) -> bool {
        self.purged
            .is_some_and(|purged| purged.index >= position.index)
    }

    /// An entry must follow the last one without a gap. The first entry of a log may have any
    /// index.
    fn check_entry(&self, position: LogPosition) -> Result<(), String> {
        match self.last {
            Some(last) if position.index.0 == u64::MAX || last.index.next() != position.index => {
                Err(format!("{position:?} does not follow {last:?}"))
            }
            Some(last) if position.term < last.term => {
                Err(format!("{position:?} is of an older term than {last:?}"))
            }
            _ => Ok(()),
        }
    }

    fn check_truncate(&self, keep: Option<LogPosition>) -> Result<(), String> {
        if keep < self.committed {
            let committed = self.committed;
            return Err(format!(
                "{committed:?} is committed: {keep:?} cannot be the last"
            ));
        }
        if keep.map(|keep| keep.index) < self.purged.map(|purged| purged.index) {
            let purged = self.purged;
            return Err(format!("{purged:?} is purged: {keep:?} cannot be the last"));
        }
        Ok(())
    }

    fn check_committed(&self, position: LogPosition) -> Result<(), String> {
        if Some(position) < self.committed {
            return Err(format!(
                "{position:?} is before {:?}, which is committed",
                self.committed
            ));
        }
        if Some(position) > self.last {
            return Err(format!(
                "{position:?} is after the last entry, {:?}",
                self.last
            ));
        }
        Ok(())
    }
}
