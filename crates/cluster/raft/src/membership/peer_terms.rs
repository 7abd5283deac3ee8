//! Which terms of peers this node accepts. An accepted term stays for ever, and after the highest
//! possible term no election is possible: so no single peer may raise a node's term far above the rest.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
};

use quorate_peer::{NodeId, lock};
use quorate_state::Term;

/// How far a term may be above the known ones: more elections than a node misses in a day with one
/// every 80 ms, and a 2^44th of all possible terms.
const GAP_MAX: u64 = 1 << 20;

/// The terms that peers stated when links with them were opened.
pub(crate) struct PeerTerms {
    /// The term of the member that let this node join.
    joined: Term,
    stated: Mutex<BTreeMap<NodeId, Term>>,
}

impl PeerTerms {
    pub(crate) fn new(joined: Term) -> Self {
        Self {
            joined,
            stated: Mutex::default(),
        }
    }

    /// Records what `peer` states, whether true or not.
    pub(crate) fn record(&self, peer: NodeId, term: Term) {
        lock(&self.stated).insert(peer, term);
    }

    /// Forgets all peers but those that `keep` selects.
    pub(crate) fn retain(&self, keep: impl Fn(NodeId) -> bool) {
        lock(&self.stated).retain(|peer, _| keep(*peer));
    }

    /// The highest term that a node with term `own` accepts: not far above its own and the highest that
    /// a majority of the voters has reached, as they state.
    pub(crate) fn highest(&self, node: NodeId, own: Term, voters: &BTreeSet<NodeId>) -> Term {
        let stated = lock(&self.stated);
        let term = |voter: &NodeId| match *voter == node {
            true => own,
            false => stated.get(voter).copied().unwrap_or_default(),
        };
        let mut terms: Vec<_> = voters.iter().map(term).collect();
        terms.sort_unstable_by(|a, b| b.cmp(a));
        // The term that a majority has reached.
        let reached = terms.get(terms.len() / 2).copied().unwrap_or_default();
        Term(own.max(reached).max(self.joined).0.saturating_add(GAP_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn highest(own: u64, others: &[u64]) -> u64 {
        let terms = PeerTerms::new(Term(0));
        let peers = (2..).map(NodeId::from).zip(others);
        peers.for_each(|(peer, term)| terms.record(peer, Term(*term)));
        let voters = (1..=3).map(NodeId::from).collect();
        terms.highest(NodeId::from(1), Term(own), &voters).0
    }

    #[test]
    fn a_majority_raises_the_limit_and_one_voter_does_not() {
        assert_eq!(highest(5, &[]), 5 + GAP_MAX);
        assert_eq!(highest(5, &[7, 9]), 7 + GAP_MAX);
        assert_eq!(highest(5, &[7, u64::MAX]), 7 + GAP_MAX);
        assert_eq!(highest(5, &[u64::MAX]), 5 + GAP_MAX);
        let far = 1 << 40;
        assert_eq!(highest(5, &[far, far + 1]), far + GAP_MAX);
        assert_eq!(highest(u64::MAX, &[]), u64::MAX);
    }

    #[test]
    fn a_node_that_is_not_a_voter_does_not_count() {
        let terms = PeerTerms::new(Term(0));
        let [own, voter, learner, other] = [1, 2, 3, 4].map(NodeId::from);
        let voters = [own, voter].into();
        for peer in [learner, other] {
            terms.record(peer, Term(1 << 40));
        }
        assert_eq!(terms.highest(own, Term(5), &voters), Term(5 + GAP_MAX));
        terms.record(voter, Term(6));
        assert_eq!(
            terms.highest(learner, Term(1), &[voter].into()),
            Term(6 + GAP_MAX)
        );
        terms.retain(|peer| peer != voter);
        assert_eq!(
            terms.highest(learner, Term(1), &[voter].into()),
            Term(1 + GAP_MAX)
        );
    }

    #[test]
    fn a_joiner_starts_at_the_term_of_the_member_that_let_it_join() {
        let terms = PeerTerms::new(Term(1 << 30));
        let highest = terms.highest(NodeId::from(9), Term(0), &BTreeSet::new());
        assert_eq!(highest, Term((1 << 30) + GAP_MAX));
    }
}
