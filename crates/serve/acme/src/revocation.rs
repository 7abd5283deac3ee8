//! Revokes certificates whose key others may know (RFC 8555, section 7.6).

use instant_acme::{Account, Error, RevocationReason, RevocationRequest};
use quorate_replica::UnixMillis;
use tracing::{info, warn};

use crate::{
    backoff::{RETRY_AFTER_MAX, is_ahead, next_attempt},
    certificate_check::first_of,
    clock::shown,
    context::{Context, failed_request},
    documents::{OrderDocument, Revocation},
    failure::{FailureKind, Stop},
    http_client::BoundedClient,
    stored::load_order,
};

/// How often a revocation is tried: for three days.
const TRY_COUNT_MAX: u32 = 20;

/// Whether a certificate is to be revoked now.
pub(crate) fn is_due(order: &OrderDocument, now: UnixMillis) -> bool {
    order
        .revocations
        .iter()
        .any(|revocation| !is_waiting(revocation, now))
}

fn is_waiting(revocation: &Revocation, now: UnixMillis) -> bool {
    is_ahead(now, revocation.next_attempt_ms, RETRY_AFTER_MAX)
}

/// Revokes those that are due, and stores which are left.
pub(crate) async fn revoke_due(
    context: &Context,
    client: &BoundedClient,
    account: &Account,
) -> Result<(), Stop> {
    let mut slot = load_order(&*context.store)?;
    let now = context.clock.now();
    let mut document = slot.document.clone().unwrap_or_default();
    let mut left = Vec::new();
    for revocation in std::mem::take(&mut document.revocations) {
        match is_waiting(&revocation, now) {
            true => left.push(revocation),
            false => left.extend(revoke(context, client, account, revocation, now).await),
        }
    }
    document.revocations = left;
    slot.save(&*context.store, document).await?;
    Ok(())
}

/// Returns the revocation if it must be tried again.
async fn revoke(
    context: &Context,
    client: &BoundedClient,
    account: &Account,
    revocation: Revocation,
    now: UnixMillis,
) -> Option<Revocation> {
    let certificate = first_of(&revocation.certificate)?;
    if revocation.not_after_ms <= now.0 {
        info!("a compromised certificate has expired, so it need not be revoked");
        return None;
    }
    if revocation.directory != context.config.directory {
        let directory = revocation.directory;
        warn!(
            directory,
            "a compromised certificate is from another authority: revoke it there"
        );
        return None;
    }
    let request = RevocationRequest {
        certificate: &certificate,
        reason: Some(RevocationReason::KeyCompromise),
    };
    let error = match account.revoke(&request).await {
        Ok(()) => {
            info!("the compromised certificate is revoked");
            return None;
        }
        Err(error) => error,
    };
    let is_done = |problem: &str| problem.ends_with(":alreadyRevoked");
    if matches!(&error, Error::Api(problem) if problem.r#type.as_deref().is_some_and(is_done)) {
        return None;
    }
    let what = "revoking the compromised certificate";
    let failure = failed_request(client, FailureKind::Certificate, what, &error);
    let failure_count = revocation.failure_count + 1;
    let next = next_attempt(now, failure_count, failure.retry_after);
    context.metrics.failures_total.of(failure.kind).inc();
    if failure_count >= TRY_COUNT_MAX {
        warn!(
            reason = failure.text,
            "a compromised certificate stays valid until it expires: revoke it yourself"
        );
        return None;
    }
    warn!(
        reason = failure.text,
        next_attempt = shown(next.0),
        "a compromised certificate is not revoked yet"
    );
    Some(Revocation {
        failure_count,
        next_attempt_ms: next.0,
        ..revocation
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revocation_does_not_wait_for_a_time_of_a_clock_that_was_ahead() {
        let now = UnixMillis(1_700_000_000_000);
        let is_due = |wait_ms| {
            let revocation = Revocation {
                certificate: String::new(),
                directory: String::new(),
                not_after_ms: 0,
                failure_count: 1,
                next_attempt_ms: now.0 + wait_ms,
            };
            let revocations = vec![revocation];
            let order = OrderDocument {
                revocations,
                ..OrderDocument::default()
            };
            is_due(&order, now)
        };
        let longest = RETRY_AFTER_MAX.as_millis() as u64;
        assert!(is_due(0) && !is_due(1) && !is_due(longest) && is_due(longest + 1));
    }
}
