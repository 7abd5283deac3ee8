//! What the log knows beside entries and vote, and the items that change it.

use bytes::Bytes;
use quorate_state::LogPosition;

/// Where the log stands: the first item of every segment repeats it, so that the segments before
/// can go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Base {
    /// Index of the first entry held, if there is one.
    pub(crate) first: u64,
    pub(crate) last: Option<LogPosition>,
    pub(crate) purged: Option<LogPosition>,
    pub(crate) committed: Option<LogPosition>,
}

/// A change of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    Base(Base),
    Entry(LogPosition, Bytes),
    /// Removes what is behind this position.
    Truncate(Option<LogPosition>),
    /// Removes what is up to this position.
    Purge(LogPosition),
    Committed(LogPosition),
}

impl Base {
    /// How many entries are held.
    pub(crate) fn count(&self) -> u64 {
        self.last
            .map_or(0, |last| (last.index.0 + 1).saturating_sub(self.first))
    }

    /// What stands after `item`, or why it cannot come next.
    pub(crate) fn after(mut self, item: &Item) -> Result<Self, String> {
        match *item {
            Item::Base(base) if base == self => {}
            Item::Base(base) => return Err(format!("{base:?} is said to stand after {self:?}")),
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
                    return Err(format!("{upto:?} is purged already"));
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

    /// An entry follows the last one without a gap. The first of a log may have any index.
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
                "{position:?} is behind the last entry, {:?}",
                self.last
            ));
        }
        Ok(())
    }
}
