//! The clock of the cluster, as one node knows it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use quorate_state::{TIMESTAMP_AHEAD_MAX, UnixMillis, millis};

use crate::{
    ClockState, Reading, Sample, Stamp,
    interval::{Interval, shared_by_most},
    sample::{clock_at, offset},
};

/// How long a time has to be agreed on before anything expires by it: a packet that came while it
/// was not, or while the cluster was down, is received again meanwhile if anybody publishes it. They
/// do so every few minutes, or every hour.
const GRACE_MAX: Duration = Duration::from_secs(3600);

/// The part of the retention that this is at most.
const GRACES_PER_RETENTION: u32 = 8;

/// What a clock of the cluster is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockConfig {
    /// By how much clocks may differ that agree.
    pub tolerance: Duration,
    /// How long packets are kept.
    pub retention: Duration,
    /// An operator says that the clock of a node that is a cluster by itself is right.
    pub trusted: bool,
}

/// What a node knows of the time when it starts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Start {
    pub at: Duration,
    /// The time that its log told last, as far as its store knows.
    pub told: Option<UnixMillis>,
}

/// The clock of the cluster, as the node `Id` knows it.
///
/// Monotonic moments are times since one that the process has chosen, and never go back.
#[derive(Debug)]
pub struct ClusterClock<Id> {
    config: ClockConfig,
    own: Id,
    start: Start,
    voters: BTreeSet<Id>,
    /// Of voters only, so that it is bounded.
    samples: BTreeMap<Id, Sample>,
    /// The time on which, as another member has heard, a majority agrees. A follower may hear of
    /// too few clocks to know it by itself.
    told: Option<Sample>,
    last_agreed: Option<Moment>,
    expires_from: Duration,
}

impl<Id: Copy + Ord> ClusterClock<Id> {
    /// A clock that has heard of no other, and whose voters are to be set.
    pub fn new(own: Id, config: ClockConfig) -> Self {
        Self {
            config,
            own,
            start: Start::default(),
            voters: BTreeSet::new(),
            samples: BTreeMap::new(),
            told: None,
            last_agreed: None,
            expires_from: Duration::ZERO,
        }
    }

    /// Says what is known at the start, before the voters are set.
    pub fn set_start(&mut self, start: Start) {
        self.start = start;
    }

    pub fn set_voters(&mut self, voters: impl IntoIterator<Item = Id>) {
        self.voters = voters.into_iter().collect();
        let voters = &self.voters;
        self.samples.retain(|peer, _| voters.contains(peer));
    }

    /// Notes a look at the clock of `peer`, in place of the one before. One that took longer than
    /// the tolerance tells too little.
    pub fn hear(&mut self, peer: Id, sample: Sample) {
        if self.counts(peer, sample) {
            self.samples.insert(peer, sample);
        }
    }

    /// Notes a look at the time on which a majority of the clocks agree that `peer` has heard
    /// itself.
    pub fn hear_agreed(&mut self, peer: Id, sample: Sample) {
        if self.counts(peer, sample) {
            self.told = Some(sample);
        }
    }

    fn counts(&self, peer: Id, sample: Sample) -> bool {
        let narrow = sample.width_ms() <= millis(self.config.tolerance);
        narrow && peer != self.own && self.voters.contains(&peer)
    }

    /// What time it is, when the clock of this node says `wall`.
    pub fn read(&mut self, now: Duration, wall: UnixMillis) -> Reading {
        let Some(agreement) = self.agreement(now, wall) else {
            return self.read_alone(now, wall);
        };
        let own = offset(wall, now);
        let time = clock_at(agreement.offset(own), now);
        self.note_agreed(Moment { time, at: now });
        let state = match agreement.has_own {
            true => ClockState::Agreed,
            false => ClockState::Disagrees,
        };
        Reading {
            state,
            time,
            latest: time,
            may_expire: state == ClockState::Agreed && now >= self.expires_from,
            offset_ms: Some(own - offset(time, now)),
            first_hand: agreement.is_first_hand.then_some(time),
        }
    }

    /// The time for a command. `None` while this node's clock is not the one that a majority agrees on:
    /// then another node should lead.
    pub fn stamp(&mut self, now: Duration, wall: UnixMillis) -> Option<Stamp> {
        let reading = self.read(now, wall);
        (reading.state != ClockState::Disagrees).then(|| Stamp {
            now: reading.time,
            timestamp_max: reading.latest.saturating_add(TIMESTAMP_AHEAD_MAX),
        })
    }

    /// By how much the clock of each voter that is heard is ahead of this node's, in milliseconds.
    pub fn differences_ms(&self, now: Duration, wall: UnixMillis) -> Vec<(Id, i64)> {
        let own = offset(wall, now);
        let heard = self.samples.iter();
        let offsets = heard.filter_map(|(peer, sample)| Some((*peer, sample.offset(now)?)));
        offsets
            .map(|(peer, offset)| (peer, offset.middle() - own))
            .collect()
    }

    /// Whether this node is a cluster by itself.
    pub fn is_alone(&self) -> bool {
        self.voters.len() == 1 && self.voters.contains(&self.own)
    }

    /// Where the offsets of the clocks lie that are heard.
    fn heard(&self, now: Duration) -> impl Iterator<Item = Interval> {
        let samples = self.samples.values();
        samples.filter_map(move |sample| sample.offset(now))
    }

    fn agreement(&self, now: Duration, wall: UnixMillis) -> Option<Agreement> {
        let leeway = millis(self.config.tolerance).cast_signed() / 2;
        let own = Interval::point(offset(wall, now)).widened(leeway);
        if self.is_alone() && !self.is_plausible(now, wall) {
            return None;
        }
        let heard = self.heard(now).map(|clock| clock.widened(leeway));
        let mut clocks: Vec<_> = heard.collect();
        if self.voters.contains(&self.own) {
            clocks.push(own);
        }
        // Of all voters, not of those that are heard.
        let quorum = self.voters.len() / 2 + 1;
        let most = shared_by_most(&clocks, own).filter(|(_, count)| *count >= quorum);
        let told = || Some(self.told?.offset(now)?.widened(leeway));
        let shared = most.map(|(shared, _)| shared).or_else(told)?;
        Some(Agreement {
            shared,
            has_own: shared.overlaps(own),
            is_first_hand: most.is_some(),
        })
    }

    /// Whether a clock that no other contradicts can be right: one that has moved by more than the
    /// retention would make every packet look old, or none ever.
    fn is_plausible(&self, now: Duration, wall: UnixMillis) -> bool {
        let expected = match (self.last_agreed, self.start.told) {
            (Some(last), _) => last.time_at(now),
            (None, Some(told)) if !self.config.trusted => self.since_start(told, now),
            (None, _) => return true,
        };
        let moved = wall.since(expected).max(expected.since(wall));
        moved <= self.config.retention.max(self.config.tolerance)
    }

    fn note_agreed(&mut self, agreed: Moment) {
        let ClockConfig {
            tolerance,
            retention,
            ..
        } = self.config;
        match self.last_agreed {
            None => {
                let grace = (retention / GRACES_PER_RETENTION).min(GRACE_MAX);
                self.expires_from = agreed.at.saturating_add(grace);
            }
            // By any clock, what was received before the step will be old after the retention.
            Some(last) if agreed.time.since(last.time_at(agreed.at)) > tolerance => {
                self.expires_from = agreed.at.saturating_add(retention);
            }
            Some(_) => {}
        }
        self.last_agreed = Some(agreed);
    }

    fn read_alone(&self, now: Duration, wall: UnixMillis) -> Reading {
        let clocks = || self.heard(now).chain([Interval::point(offset(wall, now))]);
        let (state, time) = match (self.last_agreed, self.start.told) {
            (Some(last), _) => (ClockState::Held, last.time_at(now)),
            (None, Some(told)) => (ClockState::Unknown, self.since_start(told, now)),
            // The earliest, since a time that is too early heals by itself.
            (None, None) => {
                let earliest = clocks().map(|clock| clock.low).min().unwrap_or_default();
                (ClockState::Unknown, clock_at(earliest, now))
            }
        };
        let latest = clocks().map(|clock| clock.high).max().unwrap_or_default();
        Reading {
            state,
            time,
            latest: clock_at(latest, now).max(time),
            may_expire: false,
            offset_ms: None,
            first_hand: None,
        }
    }

    fn since_start(&self, time: UnixMillis, now: Duration) -> UnixMillis {
        let start = Moment {
            time,
            at: self.start.at,
        };
        start.time_at(now)
    }
}

/// What a majority agrees on.
struct Agreement {
    /// The offset, each clock widened by half of the tolerance.
    shared: Interval,
    has_own: bool,
    is_first_hand: bool,
}

impl Agreement {
    /// The offset that is agreed on: a node's own where it agrees, so that its time runs smoothly.
    fn offset(&self, own: i64) -> i64 {
        match self.has_own {
            true => own.clamp(self.shared.low, self.shared.high),
            false => self.shared.middle(),
        }
    }
}

/// A time, and when it was.
#[derive(Debug, Clone, Copy)]
struct Moment {
    time: UnixMillis,
    at: Duration,
}

impl Moment {
    fn time_at(self, now: Duration) -> UnixMillis {
        self.time.saturating_add(now.saturating_sub(self.at))
    }
}

#[cfg(test)]
#[path = "cluster_clock_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "property_tests.rs"]
mod property_tests;
