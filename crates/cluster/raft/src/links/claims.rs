//! Checks what peers claim about votes, terms and entries. A peer may only speak for itself.

use std::time::Instant;

use quorate_peer::{
    NodeId,
    message::{Append, LogPosition, Request, Vote},
};
use quorate_state::Term;

use super::peers::Peers;

/// Elections alone hardly explain a larger increase of the term.
const USUAL_INCREASE_MAX: u64 = 1_000;

/// Why a message of a peer is rejected. Nothing of it has any effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ClaimError {
    #[error("it speaks for another node than its sender")]
    ForAnotherNode,
    #[error("no honest candidate or leader of its term would send that")]
    Implausible,
    #[error(
        "its term {0} is too high: by its own term and those that a majority of the voters stated, \
         this node accepts none above {1}"
    )]
    TermTooFar(Term, Term),
}

impl Peers {
    /// Rejects a request in which `peer` does not speak for itself, or whose term is too high.
    pub(crate) fn check(&self, peer: NodeId, request: &Request) -> Result<(), ClaimError> {
        let (vote, is_leader, is_plausible) = match request {
            Request::Append(append) => (append.vote, true, is_consistent(append)),
            Request::SnapshotBegin(begin) => {
                let is_plausible = begin.membership.position <= begin.last_log;
                let is_consistent = is_plausible && is_in_term(begin.last_log, begin.vote);
                (begin.vote, true, is_consistent)
            }
            Request::TransferLeader(transfer) => {
                let is_consistent = is_in_term(transfer.last_log, transfer.from);
                (transfer.from, true, is_consistent)
            }
            Request::Vote(candidate) | Request::PreVote(candidate) => {
                let vote = candidate.vote;
                (vote, false, is_in_term(candidate.last_log, vote))
            }
            _ => return Ok(()),
        };
        let checked = match vote.committed == is_leader && is_plausible {
            _ if vote.node != peer => Err(ClaimError::ForAnotherNode),
            false => Err(ClaimError::Implausible),
            true => self.check_term(peer, vote.term),
        };
        self.log_rejection(peer, checked)
    }

    /// What the vote in a response of `peer` proves: only the term of that peer. A vote for this node
    /// is returned unchanged. Fails if this node never requested it, or its term is too high.
    pub(crate) fn check_vote(&self, peer: NodeId, vote: Vote) -> Result<Vote, ClaimError> {
        let own = self.membership_view.own_vote();
        if vote.node == self.membership_view.node {
            let was_requested = own.is_some_and(|own| vote.term <= own.term);
            let checked = was_requested
                .then_some(())
                .ok_or(ClaimError::ForAnotherNode);
            self.log_rejection(peer, checked)?;
            let committed = vote.committed && own == Some(vote);
            return Ok(Vote { committed, ..vote });
        }
        self.log_rejection(peer, self.check_term(peer, vote.term))?;
        Ok(Vote {
            node: peer,
            committed: false,
            ..vote
        })
    }

    /// Rejects a response in which `peer` acknowledges entries that this node does not have.
    pub(crate) fn check_sent(
        &self,
        peer: NodeId,
        position: Option<LogPosition>,
    ) -> Result<(), ClaimError> {
        // A node that does not lead any more ignores these answers.
        let leads = self
            .membership_view
            .own_vote()
            .is_some_and(|own| own.node == self.membership_view.node);
        if !leads {
            return Ok(());
        }
        let last = self.membership_view.last_log();
        let has_entry = position.map(|at| at.index) <= last.map(|at| at.index)
            && position.map(|at| at.term) <= last.map(|at| at.term);
        self.log_rejection(peer, has_entry.then_some(()).ok_or(ClaimError::Implausible))
    }

    /// Rejects packets that `peer` offers if their term is too high.
    pub(crate) fn check_offer(&self, peer: NodeId, last: LogPosition) -> Result<(), ClaimError> {
        self.log_rejection(peer, self.check_term(peer, last.term))
    }

    fn check_term(&self, peer: NodeId, term: Term) -> Result<(), ClaimError> {
        let own = self
            .membership_view
            .own_vote()
            .map_or(Term(0), |own| own.term);
        if term <= own {
            return Ok(());
        }
        let highest = self.membership_view.highest_term(own);
        if term > highest {
            return Err(ClaimError::TermTooFar(term, highest));
        }
        if term.0 - own.0 > USUAL_INCREASE_MAX {
            self.metrics.term_jumps_total.inc();
            if let Some(unlogged) = self.log.take(Instant::now()) {
                tracing::warn!(%peer, %own, %term, unlogged, "a peer made the term jump");
            }
        }
        Ok(())
    }

    fn log_rejection(
        &self,
        peer: NodeId,
        checked: Result<(), ClaimError>,
    ) -> Result<(), ClaimError> {
        checked.inspect_err(|reason| {
            self.metrics.rejected_messages_total.inc();
            if let Some(unlogged) = self.log.take(Instant::now()) {
                tracing::error!(
                    %peer, %reason, unlogged,
                    "rejected a message that no honest member sends: if this continues, replace the peer"
                );
            }
        })
    }
}

/// Whether the entries follow each other without a gap, in no later term than the leader's.
fn is_consistent(append: &Append) -> bool {
    let mut last = append.previous;
    let mut entries = append.entries.iter().map(|entry| entry.position);
    let follow = entries.all(|at| {
        let next = last.map_or(0, |last| last.index.0.saturating_add(1));
        let follows = at.index.0 == next && last.is_none_or(|last| last.term <= at.term);
        last = Some(at);
        follows
    });
    follow && is_in_term(last, append.vote) && is_in_term(append.leader_commit, append.vote)
}

/// Whether the term of `position` is not later than that of `vote`.
fn is_in_term(position: Option<LogPosition>, vote: Vote) -> bool {
    position.is_none_or(|position| position.term <= vote.term)
}
