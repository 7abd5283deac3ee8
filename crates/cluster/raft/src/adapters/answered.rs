//! Which requests of this leader its peers have answered. It confirms linearizable reads.
//!
//! openraft confirms them too, but it takes an acknowledgement of entries for one of every later
//! request that ends with the same entry, so an old acknowledgement that arrives late could confirm
//! a read that came after it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use quorate_peer::{NodeId, lock};
use quorate_state::Term;
use tokio::time::Instant;

/// When the newest request was sent that each peer has answered to this leader, and in which term.
/// Clones share it. It has only peers that were members while this node led.
#[derive(Debug, Clone, Default)]
pub(super) struct AnsweredRequests(Arc<Mutex<BTreeMap<NodeId, (Term, Instant)>>>);

impl AnsweredRequests {
    /// Records that `peer` follows this leader of `term`: it has answered a request sent at `sent`.
    pub(super) fn record(&self, term: Term, peer: NodeId, sent: Instant) {
        let mut answered = lock(&self.0);
        let newest = answered.entry(peer).or_insert((term, sent));
        *newest = (term, sent).max(*newest);
    }

    /// Whether a majority of each of the `configs` has answered requests that `own`, the leader of
    /// `term`, sent at `since` or later.
    pub(super) fn is_quorum_since(
        &self,
        since: Instant,
        term: Term,
        own: NodeId,
        configs: &[BTreeSet<NodeId>],
    ) -> bool {
        let answered = lock(&self.0);
        let has_answered = |voter: &&NodeId| {
            let newest = answered.get(*voter);
            **voter == own || newest.is_some_and(|(of, sent)| *of == term && *sent >= since)
        };
        configs
            .iter()
            .all(|voters| 2 * voters.iter().filter(has_answered).count() > voters.len())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const TERM: Term = Term(5);

    fn voters(numbers: impl IntoIterator<Item = u64>) -> BTreeSet<NodeId> {
        numbers.into_iter().map(NodeId::from).collect()
    }

    #[test]
    fn a_majority_of_each_config_must_have_answered_a_later_request() {
        let (since, tick) = (Instant::now(), Duration::from_millis(1));
        let answered = AnsweredRequests::default();
        let own = NodeId::from(1);
        let is_quorum =
            |configs: &[BTreeSet<NodeId>]| answered.is_quorum_since(since, TERM, own, configs);
        let (old, new) = (voters(1..=3), voters(3..=5));
        assert!(is_quorum(&[voters([1])]));
        assert!(!is_quorum(std::slice::from_ref(&old)));
        answered.record(TERM, NodeId::from(2), since);
        assert!(is_quorum(std::slice::from_ref(&old)));
        assert!(!is_quorum(&[voters(1..=4)]), "half is no majority");
        answered.record(TERM, NodeId::from(3), since - tick);
        answered.record(Term(4), NodeId::from(4), since + tick);
        answered.record(TERM, NodeId::from(5), since + tick);
        assert!(!is_quorum(&[old.clone(), new.clone()]));
        // Answers may arrive in any order.
        answered.record(TERM, NodeId::from(3), since + tick);
        answered.record(TERM, NodeId::from(3), since - tick);
        assert!(is_quorum(&[old, new]));
    }
}
