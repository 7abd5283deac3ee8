//! Draws the steps of a random walk from a seed, so that the same seed gives the same steps.

use std::collections::{BTreeMap, BTreeSet};

/// The fewest voters with which one may be away.
const VOTER_COUNT_MIN: usize = 3;

/// The most voters, not counting one that is added before another is removed.
const VOTER_COUNT_MAX: usize = 5;

/// The most learners.
const LEARNER_COUNT_MAX: usize = 2;

/// The number of a machine, from 1. One whose node was removed is not used again.
pub(crate) type Number = usize;

/// A step of a walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// A process is killed, and stays away.
    Kill(Number),
    /// A process is stopped, and stays away.
    Stop(Number),
    /// A node comes back.
    Start(Number),
    /// A process is killed and started again.
    Restart(Number),
    /// A voter is killed, and then another one comes back.
    Swap { away: Number, back: Number },
    /// All processes are killed at the same time, and those of members that were running are restarted.
    PowerFailure,
    /// A new node becomes a voter.
    Join(Number),
    /// A new node becomes a permanent learner.
    JoinAsLearner(Number),
    /// A new node replaces a voter, while another node may be restarted.
    Replace {
        old: Number,
        new: Number,
        restarted: Option<Number>,
    },
    /// A member is removed.
    Remove(Number),
    /// A learner becomes a voter.
    Promote(Number),
    /// A voter becomes a learner.
    Demote(Number),
    /// A voter becomes the leader.
    Transfer(Number),
}

/// The members after the steps so far.
#[derive(Debug, Clone)]
pub(crate) struct Members {
    pub(crate) voters: BTreeSet<Number>,
    pub(crate) learners: BTreeSet<Number>,
    /// The members that are away, each with the voters at that time.
    pub(crate) away: BTreeMap<Number, BTreeSet<Number>>,
    /// The nodes that were removed since the cluster was last healed, each with the last voters that it
    /// knew.
    removed: BTreeMap<Number, BTreeSet<Number>>,
    next: Number,
}

impl Members {
    /// A cluster of running voters.
    pub(crate) fn new(voter_count: usize) -> Self {
        Self {
            voters: (1..=voter_count).collect(),
            learners: BTreeSet::new(),
            away: BTreeMap::new(),
            removed: BTreeMap::new(),
            next: voter_count + 1,
        }
    }

    pub(crate) fn live_voters(&self) -> impl Iterator<Item = Number> {
        let live = self.voters.iter().copied();
        live.filter(|number| !self.away.contains_key(number))
    }

    /// The removed nodes, and whether each knows a majority of the voters: it need not believe others.
    pub(crate) fn removed(&self) -> impl Iterator<Item = (Number, bool)> {
        self.removed.iter().map(|(number, known)| {
            let known_count = known.intersection(&self.voters).count();
            (*number, 2 * known_count > self.voters.len())
        })
    }

    /// The running members, voters and learners.
    pub(crate) fn live(&self) -> impl Iterator<Item = Number> {
        let members = self.voters.union(&self.learners).copied();
        members.filter(|number| !self.away.contains_key(number))
    }

    /// Whether this state is allowed: small, and able to commit.
    fn is_possible(&self) -> bool {
        (VOTER_COUNT_MIN..=VOTER_COUNT_MAX).contains(&self.voters.len())
            && self.learners.len() <= LEARNER_COUNT_MAX
            && 2 * self.live_voters().count() > self.voters.len()
    }

    /// A voter goes away.
    pub(crate) fn draw_absence(&self, chance: &mut Chance) -> Step {
        self.draw_of(chance, |members, chance| {
            let number = chance.one_of(members.live_voters())?;
            Some(match chance.below(2) {
                0 => Step::Kill(number),
                _ => Step::Stop(number),
            })
        })
    }

    /// Draws any step after which the cluster can commit.
    pub(crate) fn draw(&self, chance: &mut Chance) -> Step {
        self.draw_of(chance, Self::draw_any)
    }

    fn draw_of(
        &self,
        chance: &mut Chance,
        draw: impl Fn(&Self, &mut Chance) -> Option<Step>,
    ) -> Step {
        loop {
            let step = draw(self, chance);
            let is_possible = |step: &Step| {
                let mut after = self.clone();
                after.apply(step);
                after.is_possible()
            };
            if let Some(step) = step.filter(is_possible) {
                return step;
            }
        }
    }

    fn draw_any(&self, chance: &mut Chance) -> Option<Step> {
        let voters = || self.voters.iter().copied();
        let learners = || self.learners.iter().copied();
        let away = |chance: &mut Chance| chance.one_of(self.away.keys().copied());
        Some(match chance.below(16) {
            0 => Step::Kill(chance.one_of(self.live())?),
            1 => Step::Stop(chance.one_of(self.live())?),
            2 => Step::Start(away(chance)?),
            3 => Step::Restart(chance.one_of(self.live())?),
            4 | 5 => Step::Swap {
                away: chance.one_of(self.live_voters())?,
                back: away(chance).filter(|number| self.voters.contains(number))?,
            },
            6 => Step::PowerFailure,
            7 => Step::Join(self.next),
            8 => Step::JoinAsLearner(self.next),
            9..=11 => {
                let old = chance.one_of(voters())?;
                let others = self.live_voters().filter(|number| *number != old);
                let restarted = chance.one_of(others)?;
                Step::Replace {
                    old,
                    new: self.next,
                    restarted: Some(restarted).filter(|_| chance.below(2) == 0),
                }
            }
            12 => Step::Remove(chance.one_of(voters().chain(learners()))?),
            13 => {
                Step::Promote(chance.one_of(learners().filter(|it| !self.away.contains_key(it)))?)
            }
            14 => Step::Demote(chance.one_of(voters())?),
            _ => Step::Transfer(chance.one_of(self.live_voters())?),
        })
    }

    /// Applies a step.
    pub(crate) fn apply(&mut self, step: &Step) {
        match *step {
            Step::Kill(number) | Step::Stop(number) => self.go_away(number),
            Step::Start(number) => drop(self.away.remove(&number)),
            Step::Swap { away, back } => {
                self.go_away(away);
                self.away.remove(&back);
            }
            Step::Join(new) => {
                self.voters.insert(new);
                self.next = new + 1;
            }
            Step::JoinAsLearner(new) => {
                self.learners.insert(new);
                self.next = new + 1;
            }
            Step::Replace { old, new, .. } => {
                self.voters.insert(new);
                self.next = new + 1;
                self.remove(old);
            }
            Step::Remove(number) => self.remove(number),
            Step::Promote(number) => {
                self.learners.remove(&number);
                self.voters.insert(number);
            }
            Step::Demote(number) => {
                self.voters.remove(&number);
                self.learners.insert(number);
            }
            Step::Restart(_) | Step::PowerFailure | Step::Transfer(_) => {}
        }
    }

    /// All members are back, and removed nodes are gone.
    pub(crate) fn heal(&mut self) {
        self.away.clear();
        self.removed.clear();
    }

    fn go_away(&mut self, number: Number) {
        self.away.insert(number, self.voters.clone());
    }

    fn remove(&mut self, number: Number) {
        let known = self.away.remove(&number);
        let known = known.unwrap_or_else(|| self.voters.clone());
        self.removed.insert(number, known);
        self.voters.remove(&number);
        self.learners.remove(&number);
    }
}

/// Random numbers, the same for the same seed (splitmix64).
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `count`, which is not 0.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        usize::try_from(mixed % count as u64).expect("it is below a count")
    }

    fn one_of(&mut self, numbers: impl Iterator<Item = Number>) -> Option<Number> {
        let numbers: Vec<_> = numbers.collect();
        match numbers.len() {
            0 => None,
            count => Some(numbers[self.below(count)]),
        }
    }
}
