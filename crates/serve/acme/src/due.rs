//! Whether a certificate is due.

use std::time::Duration;

use quorate_replica::{Renewal, UnixMillis};

use crate::{
    backoff::{BACKOFF_MAX, RETRY_AFTER_MAX, is_ahead},
    documents::{Attempts, CertificateDocument, Demand, OrderDocument, Wanted},
};

/// The shortest time between two certificates that are renewed for their age alone, unless less than three times this
/// is left. An authority may always suggest to renew now; public ones issue five certificates a week for the same
/// names.
const RENEWAL_INTERVAL_MIN: Duration = Duration::from_hours(34);

/// The same if the present one expires soon: the clock of the authority may be far behind ours.
const EXPIRING_INTERVAL_MIN: Duration = Duration::from_hours(1);

/// The shortest time from a certificate to one for other settings. Nodes whose settings differ by mistake order
/// another one at each change of the leader; four orders a day offend no authority.
const CHANGE_INTERVAL_MIN: Duration = Duration::from_hours(6);

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Nothing.
    Wait,
    /// Remove what a finished order has left.
    CleanUp,
    /// Get a certificate.
    Order(Reason),
}

/// Why a certificate is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display)]
pub(crate) enum Reason {
    #[strum(to_string = "there is none")]
    First,
    #[strum(to_string = "the settings changed")]
    Changed,
    #[strum(to_string = "an operator wants a new one")]
    Requested,
    #[strum(to_string = "others may know its key")]
    Compromised,
    #[strum(to_string = "the present one expires")]
    Expires,
}

/// What to do now about the certificate.
pub(crate) fn due(
    now: UnixMillis,
    wanted: &Wanted,
    certificate: Option<&CertificateDocument>,
    order: &OrderDocument,
    demand: &Demand,
) -> Decision {
    let attempts = &order.attempts;
    let is_same = attempts.failed_for.as_ref() == Some(demand);
    let is_waiting = is_same && is_waiting(now, attempts);
    match reason(now, wanted, certificate, order, demand.renewal) {
        Some(_) if is_waiting || is_unwanted(now, attempts) => Decision::Wait,
        Some(reason) => Decision::Order(reason),
        None if order.pending.is_none() && order.records.is_empty() => Decision::Wait,
        None if is_waiting => Decision::Wait,
        None => Decision::CleanUp,
    }
}

/// Whether the attempt after one that failed is not due yet.
pub(crate) fn is_waiting(now: UnixMillis, attempts: &Attempts) -> bool {
    let longest = match attempts.not_before_ms {
        Some(_) => RETRY_AFTER_MAX,
        None => BACKOFF_MAX,
    };
    let next = attempts.next_attempt_ms;
    is_unwanted(now, attempts) || next.is_some_and(|next| is_ahead(now, next, longest))
}

/// Whether the authority does not want to be asked yet.
fn is_unwanted(now: UnixMillis, attempts: &Attempts) -> bool {
    let until = attempts.not_before_ms;
    until.is_some_and(|until| is_ahead(now, until, RETRY_AFTER_MAX))
}

fn reason(
    now: UnixMillis,
    wanted: &Wanted,
    certificate: Option<&CertificateDocument>,
    order: &OrderDocument,
    renewal: Option<Renewal>,
) -> Option<Reason> {
    let Some(certificate) = certificate else {
        return Some(Reason::First);
    };
    match renewal {
        Some(Renewal::Compromised) => return Some(Reason::Compromised),
        Some(Renewal::Requested) => return Some(Reason::Requested),
        None => {}
    }
    let last = order.attempts.last_success_ms.map(UnixMillis);
    // A time to come is from a clock that was wrong.
    let last = last.filter(|last| *last <= now);
    let is_since = |interval| last.is_some_and(|last| now < last.saturating_add(interval));
    let third_after = |from: u64| {
        let length = certificate.not_after_ms.saturating_sub(from);
        Duration::from_millis(length / 3)
    };
    let third = third_after(certificate.not_before_ms);
    let third_left = third_after(last.map_or(0, |last| last.0));
    if certificate.issued_for != *wanted && !is_since(CHANGE_INTERVAL_MIN.min(third)) {
        return Some(Reason::Changed);
    }
    let interval = RENEWAL_INTERVAL_MIN.min(third_left);
    let interval = interval.max(EXPIRING_INTERVAL_MIN.min(third));
    (now.0 >= certificate.renew_at_ms && !is_since(interval)).then_some(Reason::Expires)
}

#[cfg(test)]
#[path = "due_tests.rs"]
mod tests;
