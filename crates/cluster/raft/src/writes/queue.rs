//! The proposals that wait for a batch.

use std::{collections::VecDeque, sync::Mutex};

use quorate_peer::lock;
use quorate_replica::PutError;
use tokio::sync::Notify;

use super::batch::PendingProposal;

/// The most proposals that wait. At 5,000 PUT/s this is three seconds of work: the client of a
/// later PUT would time out before its answer.
const PROPOSAL_COUNT_MAX: usize = 16 * 1024;

/// Proposals in the order in which they arrived. Those that are put back after an attempt come
/// first.
#[derive(Default)]
pub(super) struct ProposalQueue {
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Default)]
struct State {
    proposals: VecDeque<PendingProposal>,
    packet_count: usize,
    /// The task that waits in `has_enough` is woken when this many packets wait.
    wake_count: usize,
    is_closed: bool,
}

impl ProposalQueue {
    /// Appends a proposal, or answers it with an error if it cannot wait.
    pub(super) fn push(&self, proposal: PendingProposal) {
        let mut state = lock(&self.state);
        if state.is_closed {
            return proposal.fail(PutError::ShuttingDown);
        }
        if state.proposals.len() >= PROPOSAL_COUNT_MAX {
            return proposal.fail(PutError::Overloaded);
        }
        state.packet_count += proposal.packet_count();
        state.proposals.push_back(proposal);
        let is_enough = state.packet_count >= state.wake_count;
        drop(state);
        if is_enough {
            self.wake.notify_one();
        }
    }

    /// Puts proposals that were taken earlier back at the front.
    pub(super) fn put_back(&self, proposals: Vec<PendingProposal>) {
        let mut state = lock(&self.state);
        for proposal in proposals.into_iter().rev() {
            state.packet_count += proposal.packet_count();
            state.proposals.push_front(proposal);
        }
    }

    /// Takes proposals from the front while `take` accepts them. The one that it returns stays in
    /// the queue.
    pub(super) fn take_while(
        &self,
        mut take: impl FnMut(PendingProposal) -> Result<(), PendingProposal>,
    ) {
        let mut state = lock(&self.state);
        while let Some(proposal) = state.proposals.pop_front() {
            let count = proposal.packet_count();
            if let Err(proposal) = take(proposal) {
                return state.proposals.push_front(proposal);
            }
            state.packet_count -= count;
        }
    }

    /// Keeps the proposals for which `keep` returns true.
    pub(super) fn retain(&self, keep: impl FnMut(&mut PendingProposal) -> bool) {
        let state = &mut *lock(&self.state);
        state.proposals.retain_mut(keep);
        state.packet_count = state
            .proposals
            .iter()
            .map(PendingProposal::packet_count)
            .sum();
    }

    /// Whether this many packets wait. If not, [`has_enough`](Self::has_enough) resolves once they
    /// do.
    pub(super) fn has_packets(&self, count_min: usize) -> bool {
        let mut state = lock(&self.state);
        state.wake_count = count_min;
        state.packet_count >= count_min
    }

    pub(super) fn is_empty(&self) -> bool {
        lock(&self.state).proposals.is_empty()
    }

    /// Resolves when as many packets wait as `has_packets` was last called with, or when the queue
    /// is closed.
    pub(super) async fn has_enough(&self) {
        self.wake.notified().await;
    }

    /// Rejects proposals from now on.
    pub(super) fn close(&self) {
        lock(&self.state).is_closed = true;
        self.wake.notify_one();
    }

    pub(super) fn is_closed(&self) -> bool {
        lock(&self.state).is_closed
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use quorate_packet::{PAYLOAD_SIZE_MIN, PublicKey, SignedPacket};
    use quorate_replica::PutOutcome;
    use quorate_state::Conditions;
    use tokio::{sync::oneshot, time::Instant};

    use super::{
        super::batch::{Answer, PendingPut},
        *,
    };

    fn own(key: u8) -> (PendingProposal, oneshot::Receiver<Answer>) {
        let payload = vec![key; PAYLOAD_SIZE_MIN].into();
        let packet = SignedPacket::assume_verified(PublicKey::from_bytes([key; 32]), payload);
        let (reply, answer) = oneshot::channel();
        let put = PendingPut::new(
            packet.unwrap(),
            Conditions::default(),
            Instant::now(),
            reply,
        );
        (PendingProposal::Own(put), answer)
    }

    fn proposal(key: u8) -> PendingProposal {
        own(key).0
    }

    /// The error with which one more proposal is answered, if it is rejected.
    fn push_error(queue: &ProposalQueue) -> Option<Result<PutOutcome, PutError>> {
        let (proposal, mut answer) = own(1);
        queue.push(proposal);
        answer.try_recv().ok().map(|(outcome, _)| outcome)
    }

    fn take(queue: &ProposalQueue, count: usize) -> Vec<PendingProposal> {
        let mut taken = Vec::new();
        queue.take_while(|proposal| match taken.len() < count {
            true => {
                taken.push(proposal);
                Ok(())
            }
            false => Err(proposal),
        });
        taken
    }

    #[test]
    fn the_batcher_is_woken_once_enough_packets_wait() {
        let queue = ProposalQueue::default();
        assert!(!queue.has_packets(3));
        for key in 0..2 {
            queue.push(proposal(key));
            assert_eq!(queue.has_enough().now_or_never(), None);
        }
        queue.push(proposal(2));
        assert_eq!(queue.has_enough().now_or_never(), Some(()));
        assert!(queue.has_packets(3) && !queue.has_packets(4));
        assert_eq!(take(&queue, 2).len(), 2);
        assert!(queue.has_packets(1) && !queue.has_packets(2));
    }

    #[test]
    fn proposals_that_are_put_back_count_and_come_first() {
        let queue = ProposalQueue::default();
        for key in 0..3 {
            queue.push(proposal(key));
        }
        let taken = take(&queue, 2);
        assert!(!queue.has_packets(2));
        queue.put_back(taken);
        assert!(queue.has_packets(3));
        queue.retain(|_| false);
        assert!(queue.is_empty() && !queue.has_packets(1));
    }

    #[test]
    fn a_queue_that_is_full_or_closed_accepts_nothing() {
        let queue = ProposalQueue::default();
        for _ in 0..PROPOSAL_COUNT_MAX {
            queue.push(proposal(1));
        }
        assert_eq!(push_error(&queue), Some(Err(PutError::Overloaded)));
        queue.close();
        assert_eq!(push_error(&queue), Some(Err(PutError::ShuttingDown)));
        assert_eq!(queue.has_enough().now_or_never(), Some(()));
    }
}
