//! How long ago this node knew all that was committed.

use std::collections::VecDeque;

use quorate_state::LogIndex;
use tokio::time::{Duration, Instant};

/// How old the knowledge may be by which a node acknowledges bytes that it stores already: what was
/// deleted or replaced before that is not acknowledged any more.
pub(crate) const CURRENCY_MAX: Duration = Duration::from_secs(1);

/// How far apart the moments are that are kept, the last one aside. A node that applies this much
/// later than it hears what is committed still finds one.
const STEP: Duration = Duration::from_millis(100);

/// Moments at which a quorum acknowledged a leader, and what was committed at least then, in order of
/// both. Few: none that is too old to be of use.
#[derive(Debug, Default)]
pub(super) struct CommitFreshness(VecDeque<(Instant, LogIndex)>);

impl CommitFreshness {
    /// Notes that nothing behind `committed` was committed at this moment.
    pub(super) fn prove(&mut self, at: Instant, committed: LogIndex) {
        let Self(proofs) = self;
        if proofs.back().is_some_and(|(last, _)| at <= *last) {
            return;
        }
        while proofs
            .front()
            .is_some_and(|(first, _)| at - *first > CURRENCY_MAX)
        {
            proofs.pop_front();
        }
        // The last one is replaced until it is a step behind the one before.
        if let [.., (before, _), (last, _)] = *proofs.make_contiguous()
            && last - before < STEP
        {
            proofs.pop_back();
        }
        proofs.push_back((at, committed));
    }

    /// Whether a node that has applied so much lacks nothing that was committed a second ago.
    pub(super) fn holds(&self, applied: LogIndex, now: Instant) -> bool {
        let Self(proofs) = self;
        let mut known = proofs.iter().rev();
        known
            .find(|(_, committed)| *committed <= applied)
            .is_some_and(|(at, _)| now.saturating_duration_since(*at) <= CURRENCY_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn what_is_applied_is_current_for_a_second_after_it_was_all() {
        let (mut commit_freshness, start) = (CommitFreshness::default(), Instant::now());
        assert!(!commit_freshness.holds(LogIndex(9), start));
        commit_freshness.prove(start, LogIndex(5));
        for (applied, after, holds) in [
            (5, 0, true),
            (5, 1000, true),
            (5, 1001, false),
            (4, 0, false),
        ] {
            let found = commit_freshness.holds(LogIndex(applied), start + after * MS);
            assert_eq!(found, holds, "{applied} after {after} ms");
        }
    }

    #[test]
    fn an_earlier_moment_serves_while_entries_are_on_their_way() {
        let (mut commit_freshness, start) = (CommitFreshness::default(), Instant::now());
        for ms in 0..2_000 {
            commit_freshness.prove(start + ms * MS, LogIndex(ms.into()));
            assert!(commit_freshness.0.len() <= 12, "{commit_freshness:?}");
        }
        let now = start + 2_000 * MS;
        assert!(commit_freshness.holds(LogIndex(1_999), now));
        assert!(commit_freshness.holds(LogIndex(1_200), now));
        assert!(!commit_freshness.holds(LogIndex(990), now));
    }

    #[test]
    fn what_is_told_late_takes_nothing_back() {
        let (mut commit_freshness, start) = (CommitFreshness::default(), Instant::now());
        commit_freshness.prove(start + 500 * MS, LogIndex(7));
        commit_freshness.prove(start, LogIndex(3));
        assert!(!commit_freshness.holds(LogIndex(6), start + 500 * MS));
        assert!(commit_freshness.holds(LogIndex(7), start + 1_500 * MS));
    }
}
