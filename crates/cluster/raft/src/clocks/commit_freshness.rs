//! How recently this node knew all that was committed.

use std::collections::VecDeque;

use quorate_state::LogIndex;
use tokio::time::{Duration, Instant};

/// A node acknowledges bytes that it already stores only if its knowledge of commits is at most
/// this old. What was deleted or replaced earlier is not acknowledged any more.
pub(crate) const FRESHNESS_MAX: Duration = Duration::from_secs(1);

/// The interval between the proofs that are kept, except for the last one. So a node that applies
/// entries a little later than it receives the commit index still finds a proof.
const PROOF_INTERVAL: Duration = Duration::from_millis(100);

/// Times at which a quorum acknowledged a leader, each with the last entry that was committed then,
/// sorted by both. Only proofs that are recent enough to be useful are kept, so they are few.
#[derive(Debug, Default)]
pub(super) struct CommitFreshness(VecDeque<(Instant, LogIndex)>);

impl CommitFreshness {
    /// Records that no entry after `committed` was committed at this time.
    pub(super) fn record(&mut self, at: Instant, committed: LogIndex) {
        let Self(proofs) = self;
        if proofs.back().is_some_and(|(last, _)| at <= *last) {
            return;
        }
        while proofs
            .front()
            .is_some_and(|(first, _)| at - *first > FRESHNESS_MAX)
        {
            proofs.pop_front();
        }
        // The last proof is replaced until it is an interval later than the one before it.
        if let [.., (before, _), (last, _)] = *proofs.make_contiguous()
            && last - before < PROOF_INTERVAL
        {
            proofs.pop_back();
        }
        proofs.push_back((at, committed));
    }

    /// Whether a node that has applied up to `applied` has all that was committed a second ago.
    pub(super) fn is_fresh(&self, applied: LogIndex, now: Instant) -> bool {
        let Self(proofs) = self;
        let mut known = proofs.iter().rev();
        known
            .find(|(_, committed)| *committed <= applied)
            .is_some_and(|(at, _)| now.saturating_duration_since(*at) <= FRESHNESS_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn applied_entries_are_fresh_for_a_second_after_a_proof() {
        let (mut freshness, start) = (CommitFreshness::default(), Instant::now());
        assert!(!freshness.is_fresh(LogIndex(9), start));
        freshness.record(start, LogIndex(5));
        for (applied, after, expected) in [
            (5, 0, true),
            (5, 1000, true),
            (5, 1001, false),
            (4, 0, false),
        ] {
            let found = freshness.is_fresh(LogIndex(applied), start + after * MS);
            assert_eq!(found, expected, "{applied} after {after} ms");
        }
    }

    #[test]
    fn an_earlier_proof_counts_while_entries_are_in_flight() {
        let (mut freshness, start) = (CommitFreshness::default(), Instant::now());
        for ms in 0..2_000 {
            freshness.record(start + ms * MS, LogIndex(ms.into()));
            assert!(freshness.0.len() <= 12, "{freshness:?}");
        }
        let now = start + 2_000 * MS;
        assert!(freshness.is_fresh(LogIndex(1_999), now));
        assert!(freshness.is_fresh(LogIndex(1_200), now));
        assert!(!freshness.is_fresh(LogIndex(990), now));
    }

    #[test]
    fn a_late_proof_is_ignored() {
        let (mut freshness, start) = (CommitFreshness::default(), Instant::now());
        freshness.record(start + 500 * MS, LogIndex(7));
        freshness.record(start, LogIndex(3));
        assert!(!freshness.is_fresh(LogIndex(6), start + 500 * MS));
        assert!(freshness.is_fresh(LogIndex(7), start + 1_500 * MS));
    }
}
