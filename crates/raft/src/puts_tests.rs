use super::*;

#[test]
fn an_abandoned_packet_is_never_sent() {
    let ticket = Ticket::default();
    assert_eq!(ticket.abandon(), PutError::NoLeader);
    assert!(!ticket.claim());
}

#[test]
fn a_refused_packet_is_surely_not_stored() {
    let ticket = Ticket::default();
    assert!(ticket.claim());
    ticket.release();
    assert!(ticket.claim());
    ticket.release();
    assert_eq!(ticket.abandon(), PutError::NoLeader);
}

#[test]
fn a_packet_under_way_is_unknown() {
    let ticket = Ticket::default();
    assert!(ticket.claim());
    assert_eq!(ticket.abandon(), PutError::Unknown);
    assert!(ticket.claim(), "it is tried again for whoever asks next");
}

#[test]
fn doubt_stays_whatever_follows() {
    let ticket = Ticket::default();
    assert!(ticket.claim());
    ticket.doubt();
    assert!(ticket.claim());
    ticket.release();
    assert_eq!(ticket.abandon(), PutError::Unknown);
}
