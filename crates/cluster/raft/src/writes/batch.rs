//! Packets that go into the log together, and who waits for them.

use quorate_packet::SignedPacket;
use quorate_peer::message::Proposed;
use quorate_replica::{PutError, PutOutcome};
use quorate_state::{Conditions, EncodedPackets, LogIndex};
use tokio::{sync::oneshot, time::Instant};

/// What is offered for a batch.
pub(super) enum PendingProposal {
    /// A packet of a PUT at this node.
    Own(Waiting),
    /// Packets that another node forwards.
    Forwarded {
        packets: EncodedPackets,
        reply: oneshot::Sender<Proposed>,
    },
}

/// A packet whose PUT waits for an answer.
pub(super) struct Waiting {
    packet: SignedPacket,
    conditions: Conditions,
    deadline: Instant,
    reply: Option<oneshot::Sender<Result<PutOutcome, PutError>>>,
    /// Whether an attempt may have brought it into the log: what decides between "surely not
    /// stored" and "unknown" when no later one says more.
    in_doubt: bool,
}

impl Waiting {
    pub(super) fn new(
        packet: SignedPacket,
        conditions: Conditions,
        deadline: Instant,
        reply: oneshot::Sender<Result<PutOutcome, PutError>>,
    ) -> Self {
        Self {
            packet,
            conditions,
            deadline,
            reply: Some(reply),
            in_doubt: false,
        }
    }

    fn is_gone(&self) -> bool {
        self.reply.as_ref().is_none_or(oneshot::Sender::is_closed)
    }

    fn answer(&mut self, answer: Result<PutOutcome, PutError>) {
        if let Some(reply) = self.reply.take() {
            tell(reply, answer);
        }
    }

    /// Nothing more can be learnt of it.
    fn give_up(&mut self, surely_not_stored: PutError) {
        self.answer(Err(match self.in_doubt {
            true => PutError::Unknown,
            false => surely_not_stored,
        }));
    }

    /// The outcome of the last attempt. One that refused the packet says nothing of those before
    /// that may have stored it: another may stand in its place by now.
    fn settle(&mut self, outcome: PutOutcome) {
        self.answer(match outcome {
            PutOutcome::Stored | PutOutcome::Unchanged => Ok(outcome),
            _ if self.in_doubt => Err(PutError::Unknown),
            refused => Ok(refused),
        });
    }
}

impl PendingProposal {
    /// How many packets it brings.
    pub(super) fn packet_count(&self) -> usize {
        match self {
            Self::Own(_) => 1,
            Self::Forwarded { packets, .. } => packets.count(),
        }
    }

    /// Whether nobody waits for it any more.
    pub(super) fn is_gone(&self) -> bool {
        match self {
            Self::Own(waiting) => waiting.is_gone(),
            Self::Forwarded { reply, .. } => reply.is_closed(),
        }
    }

    /// Answers one whose deadline has passed while it was not in an attempt.
    pub(super) fn expire(&mut self, now: Instant) {
        if let Self::Own(waiting) = self
            && waiting.deadline <= now
        {
            waiting.give_up(PutError::NoLeader);
        }
    }

    /// Answers one that will be in no attempt any more, for this reason.
    pub(super) fn give_up(self, surely_not_stored: PutError) {
        match self {
            Self::Own(mut waiting) => waiting.give_up(surely_not_stored),
            Self::Forwarded { reply, .. } => tell(reply, Proposed::Refused),
        }
    }
}

/// Packets that go into the log together.
#[derive(Default)]
pub(super) struct Batch {
    offers: Vec<PendingProposal>,
    packets: EncodedPackets,
}

impl Batch {
    /// Adds an offer, or gives it back if there is no room for it.
    pub(super) fn push(&mut self, offer: PendingProposal) -> Result<(), PendingProposal> {
        let fits = match &offer {
            PendingProposal::Own(waiting) => {
                self.packets.push(&waiting.packet, &waiting.conditions)
            }
            PendingProposal::Forwarded { packets, .. } => self.packets.append(packets),
        };
        match fits {
            true => {
                self.offers.push(offer);
                Ok(())
            }
            false => Err(offer),
        }
    }

    /// Takes the packets for an attempt.
    pub(super) fn take_packets(&mut self) -> EncodedPackets {
        std::mem::take(&mut self.packets)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.offers.is_empty()
    }

    /// Answers those whose deadline has passed while they are in an attempt.
    pub(super) fn expire(&mut self, now: Instant) {
        for offer in &mut self.offers {
            if let PendingProposal::Own(waiting) = offer
                && waiting.deadline <= now
            {
                waiting.answer(Err(PutError::Unknown));
            }
        }
    }

    /// Answers those for whom the attempt decides, and gives back the others, to be tried again.
    pub(super) fn settle(self, proposed: Proposed) -> Vec<PendingProposal> {
        match proposed {
            Proposed::Applied { index, outcomes } => {
                self.answer(index, outcomes);
                Vec::new()
            }
            undecided => self.take_back(&undecided),
        }
    }

    fn answer(self, index: LogIndex, outcomes: Vec<PutOutcome>) {
        let mut outcomes = outcomes.into_iter();
        for offer in self.offers {
            match offer {
                PendingProposal::Own(mut waiting) => {
                    if let Some(outcome) = outcomes.next() {
                        waiting.settle(outcome);
                    }
                }
                PendingProposal::Forwarded { packets, reply } => {
                    let outcomes = outcomes.by_ref().take(packets.count()).collect();
                    tell(reply, Proposed::Applied { index, outcomes });
                }
            }
        }
    }

    fn take_back(self, undecided: &Proposed) -> Vec<PendingProposal> {
        let mut own = Vec::new();
        for offer in self.offers {
            match offer {
                PendingProposal::Own(mut waiting) => {
                    waiting.in_doubt |= *undecided == Proposed::Unknown;
                    own.push(PendingProposal::Own(waiting));
                }
                // The node that forwarded them tries again.
                PendingProposal::Forwarded { reply, .. } => tell(reply, undecided.clone()),
            }
        }
        own
    }
}

fn tell<T>(waiting: oneshot::Sender<T>, answer: T) {
    // Whoever waited, or the link to the node that forwarded, may be gone.
    let _ = waiting.send(answer);
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;
