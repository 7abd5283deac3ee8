//! The cluster clock, as one node computes it.

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

/// How long a majority must agree on a time before anything expires by it. Within that time, packets that
/// are still published are received again, because publishers repeat them every few minutes or every
/// hour.
const GRACE_MAX: Duration = Duration::from_secs(3600);

/// This time is at most the retention divided by this number.
const GRACES_PER_RETENTION: u32 = 8;

/// The configuration of a cluster clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockConfig {
    /// The largest difference between clocks that agree.
    pub tolerance: Duration,
    /// How long packets are kept.
    pub retention: Duration,
    /// The operator confirms that the clock of a single-node cluster is right.
    pub trusted: bool,
}

/// What a node knows about the time at its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Start {
    pub at: Duration,
    /// The last time in its log, as far as its store has applied it.
    pub last_in_log: Option<UnixMillis>,
}

/// The cluster clock, as the node `Id` computes it.
///
/// Monotonic times are durations since an instant that the process has chosen.
#[derive(Debug)]
pub struct ClusterClock<Id> {
    config: ClockConfig,
    own: Id,
    start: Start,
    voters: BTreeSet<Id>,
    /// Samples of voters only, which bounds it.
    samples: BTreeMap<Id, Sample>,
    /// The agreed time according to another member. A follower may receive too few clocks to compute it
    /// itself.
    agreed_elsewhere: Option<Sample>,
    last_agreed: Option<Moment>,
    expires_from: Duration,
}

impl<Id: Copy + Ord> ClusterClock<Id> {
    /// A clock without samples, whose voters must be set.
    pub fn new(own: Id, config: ClockConfig) -> Self {
        Self {
            config,
            own,
            start: Start::default(),
            voters: BTreeSet::new(),
            samples: BTreeMap::new(),
            agreed_elsewhere: None,
            last_agreed: None,
            expires_from: Duration::ZERO,
        }
    }

    /// Sets what is known at the start, before the voters are set.
    pub fn set_start(&mut self, start: Start) {
        self.start = start;
    }

    pub fn set_voters(&mut self, voters: impl IntoIterator<Item = Id>) {
        self.voters = voters.into_iter().collect();
        let voters = &self.voters;
        self.samples.retain(|peer, _| voters.contains(peer));
    }

    /// Replaces the clock sample of `peer`. A sample that is wider than the tolerance is ignored.
    pub fn record(&mut self, peer: Id, sample: Sample) {
        if self.counts(peer, sample) {
            self.samples.insert(peer, sample);
        }
    }

    /// Records the agreed time that `peer` has computed itself.
    pub fn record_agreed(&mut self, peer: Id, sample: Sample) {
        if self.counts(peer, sample) {
            self.agreed_elsewhere = Some(sample);
        }
    }

    fn counts(&self, peer: Id, sample: Sample) -> bool {
        let narrow = sample.width_ms() <= millis(self.config.tolerance);
        narrow && peer != self.own && self.voters.contains(&peer)
    }

    /// The cluster time, when the clock of this node shows `wall`.
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

    /// The time for a command. `None` if this node's clock differs from the majority: then another node
    /// should lead.
    pub fn stamp(&mut self, now: Duration, wall: UnixMillis) -> Option<Stamp> {
        let reading = self.read(now, wall);
        (reading.state != ClockState::Disagrees).then(|| Stamp {
            now: reading.time,
            timestamp_max: reading.latest.saturating_add(TIMESTAMP_AHEAD_MAX),
        })
    }

    /// How far the clock of each recently sampled voter is ahead of this node's, in milliseconds.
    pub fn differences_ms(&self, now: Duration, wall: UnixMillis) -> Vec<(Id, i64)> {
        let own = offset(wall, now);
        let samples = self.samples.iter();
        let offsets = samples.filter_map(|(peer, sample)| Some((*peer, sample.offset(now)?)));
        offsets
            .map(|(peer, offset)| (peer, offset.middle() - own))
            .collect()
    }

    /// Whether this node is the only voter.
    pub fn is_alone(&self) -> bool {
        self.voters.len() == 1 && self.voters.contains(&self.own)
    }

    /// The offset intervals of the recently sampled clocks.
    fn received(&self, now: Duration) -> impl Iterator<Item = Interval> {
        let samples = self.samples.values();
        samples.filter_map(move |sample| sample.offset(now))
    }

    fn agreement(&self, now: Duration, wall: UnixMillis) -> Option<Agreement> {
        let leeway = millis(self.config.tolerance).cast_signed() / 2;
        let own = Interval::point(offset(wall, now)).widened(leeway);
        if self.is_alone() && !self.is_plausible(now, wall) {
            return None;
        }
        let received = self.received(now).map(|clock| clock.widened(leeway));
        let mut clocks: Vec<_> = received.collect();
        if self.voters.contains(&self.own) {
            clocks.push(own);
        }
        // A majority of all voters, not of the sampled ones.
        let quorum = self.voters.len() / 2 + 1;
        let most = shared_by_most(&clocks, own).filter(|(_, count)| *count >= quorum);
        let agreed_elsewhere = || Some(self.agreed_elsewhere?.offset(now)?.widened(leeway));
        let shared = most.map(|(shared, _)| shared).or_else(agreed_elsewhere)?;
        Some(Agreement {
            shared,
            has_own: shared.overlaps(own),
            is_first_hand: most.is_some(),
        })
    }

    /// Sets how long packets are kept, from now on.
    pub fn set_retention(&mut self, retention: Duration) {
        self.config.retention = retention;
    }

    /// Whether the clock of a single node can be right. One that has moved by more than the retention would
    /// make every packet look old, or none ever.
    fn is_plausible(&self, now: Duration, wall: UnixMillis) -> bool {
        let expected = match (self.last_agreed, self.start.last_in_log) {
            (Some(last), _) => last.time_at(now),
            (None, Some(last_in_log)) if !self.config.trusted => self.since_start(last_in_log, now),
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
            // By any clock, packets from before the step are old after the retention.
            Some(last) if agreed.time.since(last.time_at(agreed.at)) > tolerance => {
                self.expires_from = agreed.at.saturating_add(retention);
            }
            Some(_) => {}
        }
        self.last_agreed = Some(agreed);
    }

    fn read_alone(&self, now: Duration, wall: UnixMillis) -> Reading {
        let clocks = || {
            self.received(now)
                .chain([Interval::point(offset(wall, now))])
        };
        let (state, time) = match (self.last_agreed, self.start.last_in_log) {
            (Some(last), _) => (ClockState::Held, last.time_at(now)),
            (None, Some(last_in_log)) => (ClockState::Unknown, self.since_start(last_in_log, now)),
            // The earliest, because a time that is too early corrects itself.
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

/// The time on which a majority agrees.
struct Agreement {
    /// The common interval of the offsets, each widened by half of the tolerance.
    shared: Interval,
    has_own: bool,
    is_first_hand: bool,
}

impl Agreement {
    /// The agreed offset: this node's own if it agrees, so that its time runs smoothly.
    fn offset(&self, own: i64) -> i64 {
        match self.has_own {
            true => own.clamp(self.shared.low, self.shared.high),
            false => self.shared.middle(),
        }
    }
}

/// A wall-clock time and its monotonic instant.
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
