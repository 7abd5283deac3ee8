use quorate_replica::LogIndex;

use super::*;
use crate::{
    config::KeyType,
    documents::{Attempts, PendingOrder, Step},
};

const DAY_MS: u64 = 24 * 3600 * 1000;
/// When the certificates here are issued.
const ISSUED: u64 = 1_700_000_000_000;

fn wanted(name: &str) -> Wanted {
    Wanted {
        directory: "https://ca.test/dir".to_owned(),
        names: vec![name.to_owned()],
        ..Wanted::default()
    }
}

fn certificate(issued: u64) -> CertificateDocument {
    CertificateDocument {
        chain_pem: "chain".to_owned(),
        key_pem: "key".to_owned(),
        issued_for: wanted("a"),
        not_before_ms: issued,
        not_after_ms: issued + 6 * DAY_MS,
        renew_at_ms: issued + 4 * DAY_MS,
        ari_id: None,
        window: None,
    }
}

fn demand(renewal: Option<Renewal>) -> Demand {
    Demand {
        renewal,
        certificate: Some(LogIndex(7)),
    }
}

fn decide(
    now: u64,
    certificate: Option<&CertificateDocument>,
    attempts: Attempts,
    demand: &Demand,
) -> Decision {
    decide_for(&wanted("a"), now, certificate, attempts, demand)
}

fn decide_for(
    wanted: &Wanted,
    now: u64,
    certificate: Option<&CertificateDocument>,
    attempts: Attempts,
    demand: &Demand,
) -> Decision {
    let order = OrderDocument {
        attempts,
        ..OrderDocument::default()
    };
    due(UnixMillis(now), wanted, certificate, &order, demand)
}

#[test]
fn a_certificate_is_due_if_there_is_none_or_it_is_old_or_for_something_else() {
    let none = Attempts::default;
    let stored = certificate(ISSUED);
    let at = |now, renewal| decide(now, Some(&stored), none(), &demand(renewal));
    assert_eq!(
        decide(ISSUED, None, none(), &demand(None)),
        Decision::Order(Reason::First)
    );
    assert_eq!(at(ISSUED, None), Decision::Wait);
    assert_eq!(at(ISSUED + 4 * DAY_MS - 1, None), Decision::Wait);
    assert_eq!(
        at(ISSUED + 4 * DAY_MS, None),
        Decision::Order(Reason::Expires)
    );
    assert_eq!(
        at(ISSUED + 9 * DAY_MS, None),
        Decision::Order(Reason::Expires)
    );
    assert_eq!(
        at(ISSUED, Some(Renewal::Requested)),
        Decision::Order(Reason::Requested)
    );
    assert_eq!(
        at(ISSUED, Some(Renewal::Compromised)),
        Decision::Order(Reason::Compromised)
    );
    for other in [
        wanted("b"),
        Wanted {
            directory: "https://other.test".to_owned(),
            ..wanted("a")
        },
        Wanted {
            key_type: KeyType::EcdsaP384,
            ..wanted("a")
        },
        Wanted {
            profile: "shortlived".to_owned(),
            ..wanted("a")
        },
    ] {
        let decision = decide_for(&other, ISSUED, Some(&stored), none(), &demand(None));
        assert_eq!(decision, Decision::Order(Reason::Changed), "{other:?}");
    }
}

#[test]
fn a_failed_attempt_waits_unless_an_operator_demands_another() {
    let failed = Attempts {
        failure_count: 1,
        next_attempt_ms: Some(ISSUED + 1000),
        failed_for: Some(demand(None)),
        ..Attempts::default()
    };
    let at = |now, demand: &Demand| decide(now, None, failed.clone(), demand);
    assert_eq!(at(ISSUED + 999, &demand(None)), Decision::Wait);
    assert_eq!(
        at(ISSUED + 1000, &demand(None)),
        Decision::Order(Reason::First)
    );
    for other in [
        demand(Some(Renewal::Requested)),
        Demand {
            certificate: Some(LogIndex(8)),
            ..demand(None)
        },
    ] {
        assert_eq!(
            at(ISSUED, &other),
            Decision::Order(Reason::First),
            "{other:?}"
        );
    }
}

/// Two nodes whose settings differ lead in turn, each for a minute.
#[test]
fn settings_that_differ_by_node_cause_four_orders_a_day_and_no_attempt_before_its_time() {
    let mut stored = certificate(ISSUED);
    let mut attempts = Attempts {
        last_success_ms: Some(ISSUED),
        ..Attempts::default()
    };
    let mut orders = Vec::new();
    for minute in 1..=24 * 60 {
        let now = ISSUED + minute * 60_000;
        let wanted = wanted(["a", "b"][minute as usize % 2]);
        let is_due = decide_for(&wanted, now, Some(&stored), attempts.clone(), &demand(None));
        if is_due == Decision::Order(Reason::Changed) {
            orders.push(minute / 60);
            stored.issued_for = wanted;
            attempts.last_success_ms = Some(now);
        }
    }
    assert_eq!(orders, [6, 12, 18], "in the hours since the first");

    let failed = Attempts {
        failure_count: 1,
        next_attempt_ms: Some(ISSUED + 1000),
        failed_for: Some(demand(None)),
        ..Attempts::default()
    };
    for stored in [None, Some(&stored)] {
        let at = |now| decide_for(&wanted("c"), now, stored, failed.clone(), &demand(None));
        assert_eq!(at(ISSUED + 999), Decision::Wait);
        assert!(matches!(at(ISSUED + 1000), Decision::Order(_)));
    }
}

#[test]
fn nothing_is_tried_before_the_authority_wants_it() {
    let limited = Attempts {
        not_before_ms: Some(ISSUED + 1000),
        next_attempt_ms: Some(ISSUED + 1000),
        ..Attempts::default()
    };
    let demand = demand(Some(Renewal::Requested));
    assert_eq!(
        decide(ISSUED, None, limited.clone(), &demand),
        Decision::Wait
    );
    assert_eq!(
        decide(ISSUED + 1000, None, limited, &demand),
        Decision::Order(Reason::First)
    );
}

/// A clock was a year ahead when an attempt failed, or succeeded.
#[test]
fn times_of_a_clock_that_was_ahead_do_not_count() {
    let ahead = ISSUED + 365 * DAY_MS;
    let waits = |attempts: Attempts| {
        let attempts = Attempts {
            failed_for: Some(demand(None)),
            ..attempts
        };
        decide(ISSUED, None, attempts, &demand(None)) == Decision::Wait
    };
    let next = |next: u64, not_before: Option<u64>| Attempts {
        next_attempt_ms: Some(next),
        not_before_ms: not_before,
        ..Attempts::default()
    };
    assert!(waits(next(ISSUED + DAY_MS / 4, None)));
    assert!(!waits(next(ISSUED + DAY_MS / 4 + 1, None)));
    let week = ISSUED + 7 * DAY_MS;
    assert!(waits(next(week, Some(week))));
    assert!(!waits(next(week + 1, Some(week + 1))));
    assert!(!waits(next(ahead, Some(ahead))));

    let stored = certificate(ISSUED);
    let attempts = Attempts {
        last_success_ms: Some(ahead),
        ..Attempts::default()
    };
    let now = ISSUED + 5 * DAY_MS;
    let decision = decide(now, Some(&stored), attempts, &demand(None));
    assert_eq!(decision, Decision::Order(Reason::Expires));
}

#[test]
fn what_a_finished_order_left_is_removed() {
    let stored = certificate(ISSUED);
    let order = OrderDocument {
        pending: Some(PendingOrder {
            url: String::new(),
            order_for: wanted("a"),
            key_pem: String::new(),
            step: Step::Finalized,
            started_ms: 0,
        }),
        ..OrderDocument::default()
    };
    let demand = demand(None);
    let decision = due(
        UnixMillis(ISSUED),
        &wanted("a"),
        Some(&stored),
        &order,
        &demand,
    );
    assert_eq!(decision, Decision::CleanUp);
}

/// When a certificate that was issued at `issued`, and stored at `stored_at`, is renewed if its age counts at once.
fn renewed_after(issued: u64, stored_at: u64) -> u64 {
    let mut stored = certificate(issued);
    stored.renew_at_ms = 0;
    let attempts = Attempts {
        last_success_ms: Some(stored_at),
        ..Attempts::default()
    };
    let is_due = |minutes: &u64| {
        let now = stored_at + minutes * 60_000;
        decide(now, Some(&stored), attempts.clone(), &demand(None)) != Decision::Wait
    };
    (0..).find(is_due).unwrap()
}

#[test]
fn an_authority_that_always_suggests_to_renew_now_causes_five_orders_a_week() {
    assert_eq!(renewed_after(ISSUED, ISSUED), 34 * 60);
}

/// The clock of the authority is far behind.
#[test]
fn a_certificate_that_is_new_and_soon_expires_is_renewed_in_time() {
    let stored_at = |hours_left: u64| ISSUED + 6 * DAY_MS - hours_left * 3_600_000;
    assert_eq!(renewed_after(ISSUED, stored_at(12)), 4 * 60);
    assert_eq!(renewed_after(ISSUED, stored_at(1)), 60);
}

/// With a look each second, a failure at each third attempt, and half a year.
#[test]
fn certificates_for_six_days_never_expire() {
    let mut stored = certificate(ISSUED);
    let mut attempts = Attempts::default();
    let (mut count, mut failures) = (0, 0);
    let mut now = ISSUED;
    while now < ISSUED + 180 * DAY_MS {
        now += 60_000;
        assert!(now < stored.not_after_ms, "expired");
        let decision = decide(now, Some(&stored), attempts.clone(), &demand(None));
        if let Decision::Order(reason) = decision {
            assert_eq!(reason, Reason::Expires);
            count += 1;
            if count % 3 == 0 {
                failures += 1;
                let next = crate::backoff::next_attempt(UnixMillis(now), 1, None);
                attempts.failure_count = 1;
                attempts.next_attempt_ms = Some(next.0);
                attempts.failed_for = Some(demand(None));
                continue;
            }
            stored = certificate(now);
            attempts = Attempts {
                last_success_ms: Some(now),
                ..Attempts::default()
            };
        }
    }
    assert!(
        (44..=46).contains(&(count - failures)),
        "{count} {failures}"
    );
}
