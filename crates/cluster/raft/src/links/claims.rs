//! What is believed of what peers say of votes, terms and entries. A peer speaks for itself alone.

use std::time::Instant;

use quorate_peer::{
    NodeId,
    message::{Append, LogPosition, Request, Vote},
};
use quorate_state::Term;

use super::peers::Peers;

/// A step of the term that elections alone hardly explain.
const JUMP: u64 = 1_000;

/// Why a message of a peer is refused. Nothing of it is taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ClaimError {
    #[error("it speaks for another node")]
    ForAnother,
    #[error("no candidate or leader of its term would say that")]
    Implausible,
    #[error(
        "it tells of term {0}; by its own term, and by what a majority of the voters stated, this \
         node believes none above {1}"
    )]
    TermTooFar(Term, Term),
}

impl Peers {
    /// Refuses a request in which `peer` does not speak for itself, or tells of a term out of reach.
    pub(crate) fn check(&self, peer: NodeId, request: &Request) -> Result<(), ClaimError> {
        let (vote, is_leader, is_plausible) = match request {
            Request::Append(append) => (append.vote, true, is_consistent(append)),
            Request::SnapshotBegin(begin) => {
                let is_plausible = begin.membership.position <= begin.last_log;
                let is_consistent = is_plausible && is_before(begin.last_log, begin.vote);
                (begin.vote, true, is_consistent)
            }
            Request::TransferLeader(transfer) => {
                let is_consistent = is_before(transfer.last_log, transfer.from);
                (transfer.from, true, is_consistent)
            }
            Request::Vote(asked) | Request::PreVote(asked) => {
                (asked.vote, false, is_before(asked.last_log, asked.vote))
            }
            _ => return Ok(()),
        };
        let checked = match vote.committed == is_leader && is_plausible {
            _ if vote.node != peer => Err(ClaimError::ForAnother),
            false => Err(ClaimError::Implausible),
            true => self.check_term(peer, vote.term),
        };
        self.log_rejection(peer, checked)
    }

    /// What the vote in a response of `peer` says: that its term is that, no more. A vote for this node
    /// stays what it is.
    pub(crate) fn heard(&self, peer: NodeId, vote: Vote) -> Result<Vote, ClaimError> {
        let own = self.membership_view.own_vote();
        if vote.node == self.membership_view.node {
            let was_given = own.is_some_and(|own| vote.term <= own.term);
            self.log_rejection(peer, was_given.then_some(()).ok_or(ClaimError::ForAnother))?;
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

    /// Refuses entries in a response of `peer` that this node has not sent.
    pub(crate) fn check_sent(
        &self,
        peer: NodeId,
        position: Option<LogPosition>,
    ) -> Result<(), ClaimError> {
        // Nothing is made of what a leader hears that does not lead any more.
        let leads = self
            .membership_view
            .own_vote()
            .is_some_and(|own| own.node == self.membership_view.node);
        if !leads {
            return Ok(());
        }
        let last = self.membership_view.last_log();
        let is_there = position.map(|at| at.index) <= last.map(|at| at.index)
            && position.map(|at| at.term) <= last.map(|at| at.term);
        self.log_rejection(peer, is_there.then_some(()).ok_or(ClaimError::Implausible))
    }

    /// Refuses packets of a term that is out of reach, which `peer` offers.
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
        if term.0 - own.0 > JUMP {
            self.metrics.term_jumps_total.inc();
            if let Some(unlogged) = self.log.take(Instant::now()) {
                tracing::warn!(%peer, %own, %term, unlogged, "the term jumps by the word of a peer");
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
                    "refused a message that no honest member sends: if this goes on, replace the peer"
                );
            }
        })
    }
}

/// Whether the entries follow each other, and are of no later term than their leader.
fn is_consistent(append: &Append) -> bool {
    let mut last = append.previous;
    let mut entries = append.entries.iter().map(|entry| entry.position);
    let follow = entries.all(|at| {
        let next = last.map_or(0, |last| last.index.0.saturating_add(1));
        let follows = at.index.0 == next && last.is_none_or(|last| last.term <= at.term);
        last = Some(at);
        follows
    });
    follow && is_before(last, append.vote) && is_before(append.leader_commit, append.vote)
}

fn is_before(position: Option<LogPosition>, vote: Vote) -> bool {
    position.is_none_or(|position| position.term <= vote.term)
}
