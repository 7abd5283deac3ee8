use std::time::Duration;

use quorate_packet::{PAYLOAD_SIZE_MIN, PublicKey};

use super::*;

fn packet(key: u8) -> SignedPacket {
    let payload = vec![key; PAYLOAD_SIZE_MIN].into();
    SignedPacket::assume_verified(PublicKey::from_bytes([key; 32]), payload).unwrap()
}

/// The outcome, once the PUT is answered.
fn outcome(answer: &mut oneshot::Receiver<Answer>) -> Option<Result<PutOutcome, PutError>> {
    answer.try_recv().ok().map(|(outcome, _)| outcome)
}

fn own(key: u8) -> (PendingProposal, oneshot::Receiver<Answer>) {
    let (reply, answer) = oneshot::channel();
    let deadline = Instant::now() + Duration::from_secs(10);
    let put = PendingPut::new(packet(key), Conditions::default(), deadline, reply);
    (PendingProposal::Own(put), answer)
}

fn forwarded(keys: &[u8]) -> (PendingProposal, oneshot::Receiver<Proposed>) {
    let mut packets = EncodedPackets::default();
    for key in keys {
        assert!(packets.push(&packet(*key), &Conditions::default()));
    }
    let (reply, proposed) = oneshot::channel();
    (PendingProposal::Forwarded { packets, reply }, proposed)
}

fn batch(proposals: impl IntoIterator<Item = PendingProposal>) -> Batch {
    let mut batch = Batch::default();
    for proposal in proposals {
        assert!(batch.push(proposal).is_ok());
    }
    batch
}

fn applied(outcomes: &[PutOutcome]) -> Proposed {
    let outcomes = outcomes.to_vec();
    Proposed::Applied {
        position: LogPosition::new(1, 7),
        outcomes,
    }
}

/// Ends an attempt with this result, and returns the proposal that must be retried.
fn attempt(proposal: PendingProposal, proposed: Proposed) -> PendingProposal {
    let mut undecided = batch([proposal]).settle(proposed);
    assert_eq!(undecided.len(), 1);
    undecided.remove(0)
}

#[test]
fn each_proposal_is_answered_with_the_outcomes_of_its_own_packets() {
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
    assert_eq!(outcome(&mut first_answer), Some(Ok(PutOutcome::Stored)));
    assert_eq!(middle_answer.try_recv(), Ok(applied(&outcomes[1..3])));
    assert_eq!(outcome(&mut last_answer), Some(Ok(PutOutcome::TooFarAhead)));
}

#[test]
fn a_put_that_was_never_tried_or_always_rejected_is_not_stored() {
    let (proposal, mut answer) = own(1);
    let mut proposal = attempt(proposal, Proposed::Rejected);
    proposal.expire(Instant::now());
    assert_eq!(outcome(&mut answer), None, "there is time left");
    proposal.expire(Instant::now() + Duration::from_secs(10));
    assert_eq!(outcome(&mut answer), Some(Err(PutError::NoLeader)));
    assert!(proposal.is_gone());
}

#[test]
fn a_put_in_doubt_stays_in_doubt_after_a_later_rejection() {
    let (proposal, mut answer) = own(1);
    let proposal = attempt(proposal, Proposed::Unknown);
    let mut proposal = attempt(proposal, Proposed::Rejected);
    proposal.expire(Instant::now() + Duration::from_secs(10));
    assert_eq!(outcome(&mut answer), Some(Err(PutError::Unknown)));
}

/// The first attempt may have stored what a later one rejected because of a slower clock, or what
/// another packet had replaced by then.
#[test]
fn a_rejection_after_doubt_is_not_reported_as_not_stored() {
    let rejections = [
        PutOutcome::Superseded,
        PutOutcome::TooFarAhead,
        PutOutcome::ConditionFailed,
    ];
    for rejection in rejections {
        let (proposal, mut answer) = own(1);
        let proposal = attempt(proposal, Proposed::Unknown);
        let batch = batch([proposal]);
        assert!(batch.settle(applied(&[rejection])).is_empty());
        assert_eq!(outcome(&mut answer), Some(Err(PutError::Unknown)));
    }
}

#[test]
fn an_outcome_after_doubt_decides() {
    let (proposal, mut answer) = own(1);
    let proposal = attempt(proposal, Proposed::Unknown);
    batch([proposal]).settle(applied(&[PutOutcome::Unchanged]));
    assert_eq!(outcome(&mut answer), Some(Ok(PutOutcome::Unchanged)));
}

#[test]
fn a_deadline_during_an_attempt_leaves_it_unknown() {
    let (proposal, mut answer) = own(1);
    let mut batch = batch([proposal]);
    batch.expire(Instant::now());
    assert_eq!(outcome(&mut answer), None, "there is time left");
    batch.expire(Instant::now() + Duration::from_secs(10));
    assert_eq!(outcome(&mut answer), Some(Err(PutError::Unknown)));
}

#[test]
fn a_node_that_forwarded_packets_gets_the_result_and_retries_itself() {
    for undecided in [Proposed::Rejected, Proposed::Unknown] {
        let (proposal, mut proposed) = forwarded(&[1, 2]);
        assert!(batch([proposal]).settle(undecided.clone()).is_empty());
        assert_eq!(proposed.try_recv(), Ok(undecided));
    }
}

#[test]
fn a_proposal_that_does_not_fit_is_returned() {
    let keys: Vec<u8> = (0..200).collect();
    let (first, _first_answer) = forwarded(&keys);
    let (second, _second_answer) = forwarded(&keys);
    let mut batch = batch([first]);
    assert!(batch.push(second).is_err());
    assert_eq!(batch.take_packets().count(), 200);
}
