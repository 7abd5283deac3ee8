//! What a log was told and what it acknowledged.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use quorate_log::{Log, SavedVote, State};
use quorate_state::LogPosition;

/// A change of the log that is ordered with the others.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Entry(LogPosition, Bytes),
    Truncate(Option<LogPosition>),
    Purge(LogPosition),
}

/// What a log holds beside its vote.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Holding {
    pub(crate) purged: Option<LogPosition>,
    pub(crate) last: Option<LogPosition>,
    pub(crate) entries: BTreeMap<u64, (LogPosition, Bytes)>,
}

impl Holding {
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
        let [purged, first, last] = [self.purged, first, self.last].map(show);
        format!("{first} to {last}, purged to {purged}")
    }
}

/// Term and index of a position.
pub(crate) fn show(position: Option<LogPosition>) -> String {
    match position {
        Some(LogPosition { term, index }) => format!("{term}/{index}"),
        None => "nothing".to_owned(),
    }
}

/// What an opened log shows.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) holding: Holding,
    pub(crate) vote: Option<SavedVote>,
    pub(crate) committed: Option<LogPosition>,
}

impl Found {
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
            let [before, after] = [gap[0].0, gap[1].0].map(Some).map(show);
            return Err(format!("{after} follows {before}"));
        }
        let entries = entries.into_iter().map(|entry| (entry.0.index.0, entry));
        Ok(Self {
            holding: Holding {
                purged,
                last,
                entries: entries.collect(),
            },
            vote,
            committed,
        })
    }
}

/// What was acknowledged at a boundary.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Acked {
    pub(crate) changes: usize,
    pub(crate) votes: usize,
}

pub(crate) type Acks = Arc<Mutex<Vec<(usize, Acked)>>>;

/// All that a log was told since it was opened, with the first boundaries at which a disk may have
/// it.
#[derive(Debug, Clone)]
pub(crate) struct History {
    /// What it holds after so many changes.
    holdings: Vec<Holding>,
    /// The vote after so many.
    votes: Vec<Option<SavedVote>>,
    committed: Vec<(usize, LogPosition)>,
    changed_at: Vec<usize>,
    voted_at: Vec<usize>,
    acks: Acks,
}

impl History {
    pub(crate) fn of(found: &Found) -> Self {
        Self {
            holdings: vec![found.holding.clone()],
            votes: vec![found.vote],
            committed: found
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
        Self::of(&Found {
            holding: Holding::default(),
            vote: None,
            committed: None,
        })
    }

    pub(crate) fn holding(&self) -> &Holding {
        self.holdings.last().expect("there is a first")
    }

    pub(crate) fn vote(&self) -> Option<SavedVote> {
        *self.votes.last().expect("there is a first")
    }

    pub(crate) fn committed(&self) -> Option<LogPosition> {
        self.committed.last().map(|(_, committed)| *committed)
    }

    pub(crate) fn note_change(&mut self, boundary: usize, change: &Change) {
        self.holdings.push(self.holding().clone().after(change));
        self.changed_at.push(boundary + 1);
    }

    pub(crate) fn note_vote(&mut self, boundary: usize, vote: SavedVote) {
        self.votes.push(Some(vote));
        self.voted_at.push(boundary + 1);
    }

    pub(crate) fn note_committed(&mut self, boundary: usize, committed: LogPosition) {
        self.committed.push((boundary + 1, committed));
    }

    pub(crate) fn acks(&self) -> Acks {
        self.acks.clone()
    }

    /// What a callback that is queued now would acknowledge.
    pub(crate) fn told(&self) -> Acked {
        Acked {
            changes: self.holdings.len() - 1,
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

    /// What a log may hold after a loss of power at a boundary, as a history of its own.
    pub(crate) fn window(&self, at: usize) -> Self {
        let acked = self.acked(at);
        let changes = acked.changes..=acked.changes.max(self.told_before(&self.changed_at, at));
        let votes = acked.votes..=acked.votes.max(self.told_before(&self.voted_at, at));
        Self {
            changed_at: vec![0; changes.clone().count()],
            voted_at: vec![0; votes.clone().count()],
            holdings: self.holdings[changes].to_vec(),
            votes: self.votes[votes].to_vec(),
            committed: self
                .committed_before(at)
                .map(|committed| (0, committed))
                .collect(),
            acks: Acks::default(),
        }
    }

    fn committed_before(&self, at: usize) -> impl Iterator<Item = LogPosition> {
        let committed = self.committed.iter().filter(move |(told, _)| *told <= at);
        committed.map(|(_, committed)| *committed)
    }

    /// The last of those told before a boundary. The first was there before all.
    fn told_before(&self, told_at: &[usize], at: usize) -> usize {
        told_at[1..].partition_point(|told| *told <= at)
    }

    /// Whether a log that was opened after a loss of power at a boundary holds all that was
    /// acknowledged before and nothing that was not told.
    pub(crate) fn check(&self, at: usize, found: &Found) -> Result<(), String> {
        let window = self.window(at);
        if !window.holdings.contains(&found.holding) {
            return Err(format!(
                "the log holds what it never held since the last acknowledgement. It holds {}; \
                 acknowledged are {}; told are {}",
                found.holding.summary(),
                window.holdings[0].summary(),
                window.holding().summary(),
            ));
        }
        if !window.votes.contains(&found.vote) {
            let term = |vote: &Option<SavedVote>| vote.map(|vote| (vote.term, vote.committed));
            let told: Vec<_> = window.votes.iter().map(term).collect();
            let found = term(&found.vote);
            return Err(format!(
                "the vote is {found:?}, acknowledged and then told are {told:?}"
            ));
        }
        let mut told = window
            .committed
            .iter()
            .map(|(_, committed)| Some(*committed));
        if found.committed.is_some() && !told.any(|committed| committed == found.committed) {
            return Err(format!(
                "{} was never told to be committed",
                show(found.committed)
            ));
        }
        if found.committed > found.holding.last {
            return Err(format!(
                "{} is committed and behind the last entry",
                show(found.committed)
            ));
        }
        Ok(())
    }
}
