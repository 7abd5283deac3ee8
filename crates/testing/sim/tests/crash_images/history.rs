//! What was requested from a log, and what it acknowledged.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use quorate_log::{Log, SavedVote, State};
use quorate_state::LogPosition;

/// A change of the log. Changes take effect in order.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Entry(LogPosition, Bytes),
    Truncate(Option<LogPosition>),
    Purge(LogPosition),
}

/// The content of a log, without its vote and its committed position.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LogContent {
    pub(crate) purged: Option<LogPosition>,
    pub(crate) last: Option<LogPosition>,
    pub(crate) entries: BTreeMap<u64, (LogPosition, Bytes)>,
}

impl LogContent {
    fn after(mut self, change: &Change) -> Self {
        match change {
            Change::Entry(position, bytes) => {
                self.last = Some(*position);
                self.entries
                    .insert(position.index.0, (*position, bytes.clone()));
            }
            Change::Truncate(keep) => {
                self.last = *keep;
                self.entries
                    .retain(|_, (position, _)| Some(*position) <= *keep);
            }
            Change::Purge(upto) => {
                self.purged = Some(*upto);
                self.entries.retain(|index, _| *index > upto.index.0);
                if self.last.is_none_or(|last| last.index <= upto.index) {
                    self.last = Some(*upto);
                }
            }
        }
        self
    }

    fn summary(&self) -> String {
        let first = self.entries.values().next().map(|(position, _)| *position);
        let [purged, first, last] = [self.purged, first, self.last].map(text);
        format!("{first} to {last}, purged to {purged}")
    }
}

/// Term and index of a position as text.
pub(crate) fn text(position: Option<LogPosition>) -> String {
    match position {
        Some(LogPosition { term, index }) => format!("{term}/{index}"),
        None => "nothing".to_owned(),
    }
}

/// Everything that can be read from an opened log.
#[derive(Debug, Clone)]
pub(crate) struct OpenedLog {
    pub(crate) content: LogContent,
    pub(crate) vote: Option<SavedVote>,
    pub(crate) committed: Option<LogPosition>,
}

impl OpenedLog {
    pub(crate) fn new(log: &Log) -> Result<Self, String> {
        let State {
            vote,
            last,
            committed,
            purged,
        } = log.state();
        let entries = log.read(0..u64::MAX, usize::MAX);
        let entries = entries.map_err(|error| format!("entries cannot be read: {error:?}"))?;
        if let Some(gap) = entries
            .windows(2)
            .find(|pair| pair[0].0.index.next() != pair[1].0.index)
        {
            let [before, after] = [gap[0].0, gap[1].0].map(Some).map(text);
            return Err(format!("there is a gap between {before} and {after}"));
        }
        let entries = entries.into_iter().map(|entry| (entry.0.index.0, entry));
        Ok(Self {
            content: LogContent {
                purged,
                last,
                entries: entries.collect(),
            },
            vote,
            committed,
        })
    }
}

/// How many changes and votes were acknowledged at a boundary.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Acked {
    pub(crate) changes: usize,
    pub(crate) votes: usize,
}

pub(crate) type Acks = Arc<Mutex<Vec<(usize, Acked)>>>;

/// All requests to a log since it was opened, each with the first boundary at which it may be on
/// disk.
#[derive(Debug, Clone)]
pub(crate) struct History {
    /// The content at first and after each change.
    contents: Vec<LogContent>,
    /// The vote at first and after each saved vote.
    votes: Vec<Option<SavedVote>>,
    committed: Vec<(usize, LogPosition)>,
    changed_at: Vec<usize>,
    voted_at: Vec<usize>,
    acks: Acks,
}

impl History {
    /// The history of a log from the time when it was opened with this content.
    pub(crate) fn from_opened(opened: &OpenedLog) -> Self {
        Self {
            contents: vec![opened.content.clone()],
            votes: vec![opened.vote],
            committed: opened
                .committed
                .map(|committed| (0, committed))
                .into_iter()
                .collect(),
            changed_at: vec![0],
            voted_at: vec![0],
            acks: Acks::default(),
        }
    }

    pub(crate) fn empty() -> Self {
        Self::from_opened(&OpenedLog {
            content: LogContent::default(),
            vote: None,
            committed: None,
        })
    }

    pub(crate) fn content(&self) -> &LogContent {
        self.contents.last().expect("there is a first")
    }

    pub(crate) fn vote(&self) -> Option<SavedVote> {
        *self.votes.last().expect("there is a first")
    }

    pub(crate) fn committed(&self) -> Option<LogPosition> {
        self.committed.last().map(|(_, committed)| *committed)
    }

    pub(crate) fn record_change(&mut self, boundary: usize, change: &Change) {
        self.contents.push(self.content().clone().after(change));
        self.changed_at.push(boundary + 1);
    }

    pub(crate) fn record_vote(&mut self, boundary: usize, vote: SavedVote) {
        self.votes.push(Some(vote));
        self.voted_at.push(boundary + 1);
    }

    pub(crate) fn record_committed(&mut self, boundary: usize, committed: LogPosition) {
        self.committed.push((boundary + 1, committed));
    }

    pub(crate) fn acks(&self) -> Acks {
        self.acks.clone()
    }

    /// All requests so far: a callback that is queued now would acknowledge them.
    pub(crate) fn requested(&self) -> Acked {
        Acked {
            changes: self.contents.len() - 1,
            votes: self.votes.len() - 1,
        }
    }

    pub(crate) fn acked(&self, at: usize) -> Acked {
        let acks = self.acks.lock().unwrap();
        let before = acks.iter().filter(|(boundary, _)| *boundary <= at);
        before.fold(Acked::default(), |most, (_, acked)| Acked {
            changes: most.changes.max(acked.changes),
            votes: most.votes.max(acked.votes),
        })
    }

    /// The contents and votes that a log may have after a power loss at a boundary, as a new
    /// history.
    pub(crate) fn window(&self, at: usize) -> Self {
        let acked = self.acked(at);
        let changes = acked.changes..=acked.changes.max(self.last_before(&self.changed_at, at));
        let votes = acked.votes..=acked.votes.max(self.last_before(&self.voted_at, at));
        Self {
            changed_at: vec![0; changes.clone().count()],
            voted_at: vec![0; votes.clone().count()],
            contents: self.contents[changes].to_vec(),
            votes: self.votes[votes].to_vec(),
            committed: self
                .committed_before(at)
                .map(|committed| (0, committed))
                .collect(),
            acks: Acks::default(),
        }
    }

    fn committed_before(&self, at: usize) -> impl Iterator<Item = LogPosition> {
        let committed = self.committed.iter();
        let committed = committed.filter(move |(requested_at, _)| *requested_at <= at);
        committed.map(|(_, committed)| *committed)
    }

    /// The number of the last request before a boundary. The first element was there from the
    /// start.
    fn last_before(&self, requested_at: &[usize], at: usize) -> usize {
        requested_at[1..].partition_point(|requested_at| *requested_at <= at)
    }

    /// Fails when a log that was opened after a power loss at a boundary lacks an acknowledged
    /// change, or contains one that was not requested.
    pub(crate) fn check(&self, at: usize, opened: &OpenedLog) -> Result<(), String> {
        let window = self.window(at);
        if !window.contents.contains(&opened.content) {
            return Err(format!(
                "the log has a content that it never had since the last acknowledgement. \
                 It has {}; acknowledged were {}; requested were {}",
                opened.content.summary(),
                window.contents[0].summary(),
                window.content().summary(),
            ));
        }
        if !window.votes.contains(&opened.vote) {
            let term = |vote: &Option<SavedVote>| vote.map(|vote| (vote.term, vote.committed));
            let allowed: Vec<_> = window.votes.iter().map(term).collect();
            let found = term(&opened.vote);
            return Err(format!(
                "the vote is {found:?}, the acknowledged one and later ones are {allowed:?}"
            ));
        }
        let mut allowed = window
            .committed
            .iter()
            .map(|(_, committed)| Some(*committed));
        if opened.committed.is_some() && !allowed.any(|committed| committed == opened.committed) {
            return Err(format!(
                "{} was never saved as committed",
                text(opened.committed)
            ));
        }
        if opened.committed > opened.content.last {
            return Err(format!(
                "{} is committed but after the last entry",
                text(opened.committed)
            ));
        }
        Ok(())
    }
}
