//! What voters have acknowledged to this leader. It reveals a voter that restarts from an older copy
//! of its data.

use std::collections::BTreeMap;

use quorate_peer::{Acknowledgements, NodeId};
use quorate_state::{LogPosition, Term};

/// The highest position that each voter acknowledged as flushed to this leader in one term. A later
/// term clears them.
#[derive(Debug, Default)]
pub(super) struct Acknowledged {
    term: Term,
    positions: BTreeMap<NodeId, LogPosition>,
}

impl Acknowledged {
    /// Records what `voter` has on disk, as it acknowledged to this node as the leader of `term`.
    pub(super) fn record(&mut self, term: Term, voter: NodeId, position: LogPosition) {
        if term > self.term {
            *self = Self {
                term,
                ..Self::default()
            };
        }
        if term == self.term {
            let highest = self.positions.entry(voter).or_insert(position);
            *highest = position.max(*highest);
        }
    }

    /// Forgets all voters but those that `keep` selects.
    pub(super) fn retain(&mut self, keep: impl Fn(&NodeId) -> bool) {
        self.positions.retain(|voter, _| keep(voter));
    }

    /// What voters have acknowledged in `term`; empty if the records are of another term.
    pub(super) fn of_term(&self, term: Term) -> Acknowledgements {
        let positions = self.positions.iter().filter(|_| term == self.term);
        let of_term = positions.map(|(voter, position)| (*voter, (term, *position)));
        of_term.collect()
    }
}

#[cfg(test)]
mod tests {
    use quorate_peer::{DataLoss, LogSummary};

    use super::*;

    impl Acknowledged {
        fn lost_by(&self, voter: NodeId, stated: LogSummary, term: Term) -> Option<DataLoss> {
            let acknowledged = self.of_term(term).get(&voter).copied();
            acknowledged.and_then(|position| DataLoss::of(Some(position), stated))
        }
    }

    const TERM: Term = Term(5);

    fn at(term: u64, index: u64) -> LogPosition {
        LogPosition::new(term, index)
    }

    fn voter() -> NodeId {
        NodeId::from(1)
    }

    fn stated(term: Term, durable: Option<LogPosition>) -> LogSummary {
        LogSummary { term, durable }
    }

    /// What a leader records when the voter acknowledges these positions in `TERM`.
    fn acknowledged(positions: &[LogPosition]) -> Acknowledged {
        let mut acknowledged = Acknowledged::default();
        for position in positions {
            acknowledged.record(TERM, voter(), *position);
        }
        acknowledged
    }

    #[test]
    fn a_voter_that_states_less_than_it_acknowledged_has_lost_data() {
        // The answer to an earlier heartbeat arrives last.
        let leader = acknowledged(&[at(5, 7), at(5, 9), at(5, 8)]);
        for durable in [None, Some(at(4, 12)), Some(at(5, 8))] {
            // A restored copy may hold an older vote too.
            for term in [Term(0), TERM] {
                let loss = leader.lost_by(voter(), stated(term, durable), TERM);
                let expected = DataLoss {
                    acknowledged: Some((TERM, at(5, 9))),
                    stated: durable,
                };
                assert_eq!(loss, Some(expected));
            }
        }
        for durable in [at(5, 9), at(5, 10), at(6, 1)] {
            let stated = stated(TERM, Some(durable));
            assert_eq!(leader.lost_by(voter(), stated, TERM), None);
        }
        let other = NodeId::from(2);
        assert_eq!(leader.lost_by(other, stated(TERM, None), TERM), None);
    }

    /// The leader of the later term may have made it truncate its log.
    #[test]
    fn a_voter_of_a_later_term_is_not_reported_as_having_lost_data() {
        let leader = acknowledged(&[at(5, 9)]);
        let stated = stated(Term(6), Some(at(4, 8)));
        assert_eq!(leader.lost_by(voter(), stated, TERM), None);
    }

    #[test]
    fn acknowledgements_are_forgotten_in_another_term() {
        let mut leader = acknowledged(&[at(5, 9)]);
        let less = stated(TERM, Some(at(5, 8)));
        assert_eq!(leader.lost_by(voter(), less, Term(6)), None);
        leader.record(Term(7), voter(), at(7, 1));
        // A late answer from an earlier term.
        leader.record(TERM, voter(), at(5, 9));
        assert_eq!(leader.lost_by(voter(), less, TERM), None);
        let lost = leader.lost_by(voter(), less, Term(7)).unwrap();
        assert_eq!(lost.acknowledged, Some((Term(7), at(7, 1))));
    }

    #[test]
    fn a_node_that_is_no_longer_a_voter_is_forgotten() {
        let mut leader = acknowledged(&[at(5, 9)]);
        leader.retain(|node| *node != voter());
        assert!(leader.positions.is_empty());
    }
}
