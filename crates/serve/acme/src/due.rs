//! Whether a certificate is due.

use std::time::Duration;

use quorate_replica::{Renewal, UnixMillis};

use crate::{
    backoff::{BACKOFF_MAX, RETRY_AFTER_MAX, is_ahead},
    documents::{Attempts, CertificateDocument, Demand, OrderDocument, Wanted},
};

/// The shortest time between two certificates that are renewed for their age alone, unless they live for less than
/// three times this. It bounds what an authority causes that always suggests to renew.
const RENEWAL_INTERVAL_MIN: Duration = Duration::from_hours(1);

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
    let Some(reason) = reason(now, wanted, certificate, order, demand.renewal) else {
        let is_clean = order.pending.is_none() && order.records.is_empty();
        return if is_clean {
            Decision::Wait
        } else {
            Decision::CleanUp
        };
    };
    let is_same = attempts.failed_for.as_ref() == Some(demand);
    match is_unwanted(now, attempts) || (is_same && is_waiting(now, attempts)) {
        true => Decision::Wait,
        false => Decision::Order(reason),
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
    if certificate.issued_for != *wanted {
        return Some(Reason::Changed);
    }
    let lifetime = certificate
        .not_after_ms
        .saturating_sub(certificate.not_before_ms);
    let interval = RENEWAL_INTERVAL_MIN.min(Duration::from_millis(lifetime / 3));
    let is_new = is_since(now, order.attempts.last_success_ms, interval);
    (now.0 >= certificate.renew_at_ms && !is_new).then_some(Reason::Expires)
}

/// Whether less than `interval` has passed since then. A time to come is from a clock that was wrong.
fn is_since(now: UnixMillis, then: Option<u64>, interval: Duration) -> bool {
    let then = then.map(UnixMillis).filter(|then| *then <= now);
    then.is_some_and(|then| now < then.saturating_add(interval))
}

#[cfg(test)]
#[path = "due_tests.rs"]
mod tests;
