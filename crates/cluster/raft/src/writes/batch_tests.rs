use std::time::Duration;

use quorate_packet::{PAYLOAD_SIZE_MIN, PublicKey};

use super::*;

type Answer = Result<PutOutcome, PutError>;

fn packet(key: u8) -> SignedPacket {
    let payload = vec![key; PAYLOAD_SIZE_MIN].into();
    SignedPacket::assume_verified(PublicKey::from_bytes([key; 32]), payload).unwrap()
}

fn own(key: u8) -> (PendingProposal, oneshot::Receiver<Answer>) {
    let (reply, answer) = oneshot::channel();
    let deadline = Instant::now() + Duration::from_secs(10);
    let waiting = Waiting::new(packet(key), Conditions::default(), deadline, reply);
    (PendingProposal::Own(waiting), answer)
}

fn forwarded(keys: &[u8]) -> (PendingProposal, oneshot::Receiver<Proposed>) {
    let mut packets = EncodedPackets::default();
    for key in keys {
        assert!(packets.push(&packet(*key), &Conditions::default()));
    }
    let (reply, proposed) = oneshot::channel();
    (PendingProposal::Forwarded { packets, reply }, proposed)
}

fn batch(offers: impl IntoIterator<Item = PendingProposal>) -> Batch {
    let mut batch = Batch::default();
    for offer in offers {
        assert!(batch.push(offer).is_ok());
    }
    batch
}

fn applied(outcomes: &[PutOutcome]) -> Proposed {
    let outcomes = outcomes.to_vec();
    Proposed::Applied {
        index: LogIndex(7),
        outcomes,
    }
}

/// Lets an attempt end thus, and gives back the packet that is to be tried again.
fn attempt(offer: PendingProposal, proposed: Proposed) -> PendingProposal {
    let mut undecided = batch([offer]).settle(proposed);
    assert_eq!(undecided.len(), 1);
    undecided.remove(0)
}

#[test]
fn everyone_is_told_of_his_own_packets() {
    let (first, mut first_answer) = own(1);
    let (middle, mut middle_answer) = forwarded(&[2, 3]);
    let (last, mut last_answer) = own(4);
    let mut batch = batch([first, middle, last]);
    assert_eq!(batch.take_packets().count(), 4);
    let outcomes = [
        PutOutcome::Stored,
        PutOutcome::Unchanged,
        PutOutcome::Superseded,
        PutOutcome::TooFarAhead,
    ];
    assert!(batch.settle(applied(&outcomes)).is_empty());
    assert_eq!(first_answer.try_recv(), Ok(Ok(PutOutcome::Stored)));
    assert_eq!(middle_answer.try_recv(), Ok(applied(&outcomes[1..3])));
    assert_eq!(last_answer.try_recv(), Ok(Ok(PutOutcome::TooFarAhead)));
}

#[test]
fn what_was_never_tried_or_always_refused_is_surely_not_stored() {
    let (offer, mut answer) = own(1);
    let mut offer = attempt(offer, Proposed::Refused);
    offer.expire(Instant::now());
    assert!(answer.try_recv().is_err(), "there is time left");
    offer.expire(Instant::now() + Duration::from_secs(10));
    assert_eq!(answer.try_recv(), Ok(Err(PutError::NoLeader)));
    assert!(offer.is_gone());
}

#[test]
fn doubt_stays_whatever_is_refused_later() {
    let (offer, mut answer) = own(1);
    let offer = attempt(offer, Proposed::Unknown);
    let mut offer = attempt(offer, Proposed::Refused);
    offer.expire(Instant::now() + Duration::from_secs(10));
    assert_eq!(answer.try_recv(), Ok(Err(PutError::Unknown)));
}

/// The first attempt may have stored what a later one, by a slower clock, refused, or what another
/// packet had replaced by then.
#[test]
fn a_refusal_after_doubt_is_not_told_as_not_stored() {
    let refusals = [
        PutOutcome::Superseded,
        PutOutcome::TooFarAhead,
        PutOutcome::ConditionFailed,
    ];
    for refused in refusals {
        let (offer, mut answer) = own(1);
        let offer = attempt(offer, Proposed::Unknown);
        let batch = batch([offer]);
        assert!(batch.settle(applied(&[refused])).is_empty());
        assert_eq!(answer.try_recv(), Ok(Err(PutError::Unknown)));
    }
}

#[test]
fn an_outcome_after_doubt_decides() {
    let (offer, mut answer) = own(1);
    let offer = attempt(offer, Proposed::Unknown);
    batch([offer]).settle(applied(&[PutOutcome::Unchanged]));
    assert_eq!(answer.try_recv(), Ok(Ok(PutOutcome::Unchanged)));
}

#[test]
fn a_deadline_during_an_attempt_leaves_it_unknown() {
    let (offer, mut answer) = own(1);
    let mut batch = batch([offer]);
    batch.expire(Instant::now());
    assert!(answer.try_recv().is_err(), "there is time left");
    batch.expire(Instant::now() + Duration::from_secs(10));
    assert_eq!(answer.try_recv(), Ok(Err(PutError::Unknown)));
}

#[test]
fn who_forwarded_packets_hears_how_the_attempt_ended_and_tries_again_himself() {
    for undecided in [Proposed::Refused, Proposed::Unknown] {
        let (offer, mut proposed) = forwarded(&[1, 2]);
        assert!(batch([offer]).settle(undecided.clone()).is_empty());
        assert_eq!(proposed.try_recv(), Ok(undecided));
    }
}

#[test]
fn what_does_not_fit_is_given_back() {
    let keys: Vec<u8> = (0..200).collect();
    let (first, _first_answer) = forwarded(&keys);
    let (second, _second_answer) = forwarded(&keys);
    let mut batch = batch([first]);
    assert!(batch.push(second).is_err());
    assert_eq!(batch.take_packets().count(), 200);
}
