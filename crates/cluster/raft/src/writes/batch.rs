//! Packets that go into the log together, and the callers that wait for their outcome.

use std::time;

use quorate_packet::SignedPacket;
use quorate_peer::message::Proposed;
use quorate_replica::{PutError, PutOutcome};
use quorate_state::{Conditions, EncodedPackets, LogPosition};
use tokio::{sync::oneshot, time::Instant};

use super::stages::{BatchStages, PutTimes};
use crate::RaftMetrics;

/// A proposal that waits for a batch.
pub(super) enum PendingProposal {
    /// A packet of a PUT at this node.
    Own(PendingPut),
    /// Packets that another node forwards.
    Forwarded {
        packets: EncodedPackets,
        reply: oneshot::Sender<Proposed>,
    },
}

/// What the caller of a PUT gets: its outcome, and how long it was in each stage.
pub(super) type Answer = (Result<PutOutcome, PutError>, Box<PutTimes>);

/// A packet whose PUT waits for an answer.
pub(super) struct PendingPut {
    packet: SignedPacket,
    conditions: Conditions,
    deadline: Instant,
    /// Where the answer goes, with the times until then.
    reply: Option<(oneshot::Sender<Answer>, Box<PutTimes>)>,
    /// Whether an attempt may have put it into the log. This decides between "not stored" and
    /// "unknown" when no later attempt gives a definite outcome.
    in_doubt: bool,
}

impl PendingPut {
    pub(super) fn new(
        packet: SignedPacket,
        conditions: Conditions,
        deadline: Instant,
        reply: oneshot::Sender<Answer>,
    ) -> Self {
        Self {
            packet,
            conditions,
            deadline,
            reply: Some((reply, Box::new(PutTimes::start()))),
            in_doubt: false,
        }
    }

    fn is_gone(&self) -> bool {
        let reply = self.reply.as_ref();
        reply.is_none_or(|(reply, _)| reply.is_closed())
    }

    fn answer(&mut self, answer: Result<PutOutcome, PutError>) {
        if let Some((reply, times)) = self.reply.take() {
            send_reply(reply, (answer, times));
        }
    }

    /// Answers without an outcome: no further attempt will be made.
    fn fail(&mut self, error_if_not_stored: PutError) {
        self.answer(Err(match self.in_doubt {
            true => PutError::Unknown,
            false => error_if_not_stored,
        }));
    }

    /// Answers with the outcome of the last attempt. A rejection proves nothing about earlier
    /// attempts that may have stored the packet: another packet may have replaced it by now.
    fn settle(&mut self, outcome: PutOutcome) {
        self.answer(match outcome {
            PutOutcome::Stored | PutOutcome::Unchanged => Ok(outcome),
            _ if self.in_doubt => Err(PutError::Unknown),
            rejection => Ok(rejection),
        });
    }
}

impl PendingProposal {
    pub(super) fn packet_count(&self) -> usize {
        match self {
            Self::Own(_) => 1,
            Self::Forwarded { packets, .. } => packets.count(),
        }
    }

    /// Whether nobody waits for its outcome any more.
    pub(super) fn is_gone(&self) -> bool {
        match self {
            Self::Own(put) => put.is_gone(),
            Self::Forwarded { reply, .. } => reply.is_closed(),
        }
    }

    /// Answers a PUT whose deadline has passed while it was not in an attempt.
    pub(super) fn expire(&mut self, now: Instant) {
        if let Self::Own(put) = self
            && put.deadline <= now
        {
            put.fail(PutError::NoLeader);
        }
    }

    /// Answers a proposal that will not be in any further attempt. `error_if_not_stored` is the
    /// answer to a PUT that no attempt can have stored.
    pub(super) fn fail(self, error_if_not_stored: PutError) {
        match self {
            Self::Own(mut put) => put.fail(error_if_not_stored),
            Self::Forwarded { reply, .. } => send_reply(reply, Proposed::Rejected),
        }
    }
}

/// Packets that go into the log together.
#[derive(Default)]
pub(super) struct Batch {
    proposals: Vec<PendingProposal>,
    packets: EncodedPackets,
}

impl Batch {
    /// Adds a proposal, or returns it if it does not fit.
    pub(super) fn push(&mut self, proposal: PendingProposal) -> Result<(), PendingProposal> {
        let fits = match &proposal {
            PendingProposal::Own(put) => self.packets.push(&put.packet, &put.conditions),
            PendingProposal::Forwarded { packets, .. } => self.packets.append(packets),
        };
        match fits {
            true => {
                self.proposals.push(proposal);
                Ok(())
            }
            false => Err(proposal),
        }
    }

    /// Takes the encoded packets out of the batch for an attempt.
    pub(super) fn take_packets(&mut self) -> EncodedPackets {
        std::mem::take(&mut self.packets)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.proposals.is_empty()
    }

    /// How many packets it has, also when they were taken out.
    pub(super) fn packet_count(&self) -> usize {
        let counts = self.proposals.iter().map(PendingProposal::packet_count);
        counts.sum()
    }

    /// Its PUTs leave the queue now.
    pub(super) fn leave_queue(&mut self, now: time::Instant, metrics: &RaftMetrics) {
        self.times()
            .for_each(|times| times.leave_queue(now, metrics));
    }

    /// Its PUTs have gone through these stages.
    pub(super) fn set_stages(&mut self, stages: BatchStages) {
        self.times().for_each(|times| times.batch = stages);
    }

    fn times(&mut self) -> impl Iterator<Item = &mut PutTimes> {
        self.proposals
            .iter_mut()
            .filter_map(|proposal| match proposal {
                PendingProposal::Own(put) => put.reply.as_mut().map(|(_, times)| &mut **times),
                PendingProposal::Forwarded { .. } => None,
            })
    }

    /// Answers the PUTs whose deadline has passed while they are in an attempt.
    pub(super) fn expire(&mut self, now: Instant) {
        for proposal in &mut self.proposals {
            if let PendingProposal::Own(put) = proposal
                && put.deadline <= now
            {
                put.answer(Err(PutError::Unknown));
            }
        }
    }

    /// Answers the proposals whose outcome the attempt has decided, and returns the others to be
    /// tried again.
    pub(super) fn settle(self, proposed: Proposed) -> Vec<PendingProposal> {
        match proposed {
            Proposed::Applied { position, outcomes } => {
                self.answer(position, outcomes);
                Vec::new()
            }
            undecided => self.return_undecided(&undecided),
        }
    }

    fn answer(self, position: LogPosition, outcomes: Vec<PutOutcome>) {
        let mut outcomes = outcomes.into_iter();
        for proposal in self.proposals {
            match proposal {
                PendingProposal::Own(mut put) => {
                    if let Some(outcome) = outcomes.next() {
                        put.settle(outcome);
                    }
                }
                PendingProposal::Forwarded { packets, reply } => {
                    let outcomes = outcomes.by_ref().take(packets.count()).collect();
                    send_reply(reply, Proposed::Applied { position, outcomes });
                }
            }
        }
    }

    fn return_undecided(self, undecided: &Proposed) -> Vec<PendingProposal> {
        let mut own = Vec::new();
        for proposal in self.proposals {
            match proposal {
                PendingProposal::Own(mut put) => {
                    put.in_doubt |= *undecided == Proposed::Unknown;
                    own.push(PendingProposal::Own(put));
                }
                // The node that forwarded them retries.
                PendingProposal::Forwarded { reply, .. } => send_reply(reply, undecided.clone()),
            }
        }
        own
    }
}

fn send_reply<T>(reply: oneshot::Sender<T>, answer: T) {
    // The caller, or the link to the node that forwarded, may be gone.
    let _ = reply.send(answer);
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;
