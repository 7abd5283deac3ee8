//! What waits for a batch.

use std::{collections::VecDeque, sync::Mutex};

use quorate_peer::lock;
use quorate_replica::PutError;
use tokio::sync::Notify;

use super::batch::PendingProposal;

/// The most offers that wait. At 5,000 PUT/s this is three seconds of work: whoever comes later
/// would not be answered before it has given up.
const OFFER_COUNT_MAX: usize = 16 * 1024;

/// Offers in the order in which they came. Those that a batch brings back come first.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Default)]
struct State {
    offers: VecDeque<PendingProposal>,
    /// The packets of all offers.
    packet_count: usize,
    /// How many packets are worth waking whoever waits for them.
    wanted: usize,
    is_closed: bool,
}

impl Queue {
    /// Puts an offer at the end, or answers why it cannot wait.
    pub(super) fn push(&self, offer: PendingProposal) {
        let mut state = lock(&self.state);
        if state.is_closed {
            return offer.give_up(PutError::ShuttingDown);
        }
        if state.offers.len() >= OFFER_COUNT_MAX {
            return offer.give_up(PutError::Overloaded);
        }
        state.packet_count += offer.packet_count();
        state.offers.push_back(offer);
        let are_enough = state.packet_count >= state.wanted;
        drop(state);
        if are_enough {
            self.arrived.notify_one();
        }
    }

    /// Puts offers that were taken before others in front of them.
    pub(super) fn put_back(&self, offers: Vec<PendingProposal>) {
        let mut state = lock(&self.state);
        for offer in offers.into_iter().rev() {
            state.packet_count += offer.packet_count();
            state.offers.push_front(offer);
        }
    }

    /// Takes from the front as long as `take` returns true; the offer that it gives back stays.
    pub(super) fn take_while(
        &self,
        mut take: impl FnMut(PendingProposal) -> Result<(), PendingProposal>,
    ) {
        let mut state = lock(&self.state);
        while let Some(offer) = state.offers.pop_front() {
            let count = offer.packet_count();
            if let Err(offer) = take(offer) {
                return state.offers.push_front(offer);
            }
            state.packet_count -= count;
        }
    }

    /// Keeps those of which `keep` says so.
    pub(super) fn retain(&self, keep: impl FnMut(&mut PendingProposal) -> bool) {
        let state = &mut *lock(&self.state);
        state.offers.retain_mut(keep);
        state.packet_count = state.offers.iter().map(PendingProposal::packet_count).sum();
    }

    /// Whether this many packets wait. If not, [`arrived`](Self::arrived) resolves once they do.
    pub(super) fn holds(&self, wanted: usize) -> bool {
        let mut state = lock(&self.state);
        state.wanted = wanted;
        state.packet_count >= wanted
    }

    pub(super) fn is_empty(&self) -> bool {
        lock(&self.state).offers.is_empty()
    }

    /// Resolves when as many packets wait as were asked for, or the queue was closed.
    pub(super) async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// Takes no more offers.
    pub(super) fn close(&self) {
        lock(&self.state).is_closed = true;
        self.arrived.notify_one();
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

    use super::{super::batch::Waiting, *};

    type Answer = Result<PutOutcome, PutError>;

    fn own(key: u8) -> (PendingProposal, oneshot::Receiver<Answer>) {
        let payload = vec![key; PAYLOAD_SIZE_MIN].into();
        let packet = SignedPacket::assume_verified(PublicKey::from_bytes([key; 32]), payload);
        let (reply, answer) = oneshot::channel();
        let waiting = Waiting::new(
            packet.unwrap(),
            Conditions::default(),
            Instant::now(),
            reply,
        );
        (PendingProposal::Own(waiting), answer)
    }

    fn offer(key: u8) -> PendingProposal {
        own(key).0
    }

    /// What whoever brings one more packet is answered.
    fn refusal(queue: &Queue) -> Option<Answer> {
        let (offer, mut answer) = own(1);
        queue.push(offer);
        answer.try_recv().ok()
    }

    fn take(queue: &Queue, count: usize) -> Vec<PendingProposal> {
        let mut taken = Vec::new();
        queue.take_while(|offer| match taken.len() < count {
            true => {
                taken.push(offer);
                Ok(())
            }
            false => Err(offer),
        });
        taken
    }

    #[test]
    fn who_waits_for_packets_is_woken_once_there_are_enough() {
        let queue = Queue::default();
        assert!(!queue.holds(3));
        for key in 0..2 {
            queue.push(offer(key));
            assert_eq!(queue.arrived().now_or_never(), None);
        }
        queue.push(offer(2));
        assert_eq!(queue.arrived().now_or_never(), Some(()));
        assert!(queue.holds(3) && !queue.holds(4));
        assert_eq!(take(&queue, 2).len(), 2);
        assert!(queue.holds(1) && !queue.holds(2));
    }

    #[test]
    fn what_is_brought_back_counts_and_comes_first() {
        let queue = Queue::default();
        for key in 0..3 {
            queue.push(offer(key));
        }
        let taken = take(&queue, 2);
        assert!(!queue.holds(2));
        queue.put_back(taken);
        assert!(queue.holds(3));
        queue.retain(|_| false);
        assert!(queue.is_empty() && !queue.holds(1));
    }

    #[test]
    fn a_queue_that_is_full_or_closed_takes_nothing() {
        let queue = Queue::default();
        for _ in 0..OFFER_COUNT_MAX {
            queue.push(offer(1));
        }
        assert_eq!(refusal(&queue), Some(Err(PutError::Overloaded)));
        queue.close();
        assert_eq!(refusal(&queue), Some(Err(PutError::ShuttingDown)));
        assert_eq!(queue.arrived().now_or_never(), Some(()));
    }
}
