//! The state of the certificate for operators and metrics.

use quorate_api::{CertificateFailure, CertificateStatus, PendingCertificateOrder};
use quorate_replica::{SecretError, SecretKind};

use crate::{
    certificate_check::summary,
    context::Context,
    documents::{CertificateDocument, OrderDocument},
    stored::Slot,
};

/// The state, as this node has it.
pub(crate) fn status(context: &Context) -> CertificateStatus {
    let mut status = CertificateStatus {
        directory: context.config.directory.clone(),
        names: context.wanted.names.clone(),
        ..CertificateStatus::default()
    };
    if let Err(error) = fill(context, &mut status) {
        status.unreadable = Some(error.to_string());
    }
    status
}

fn fill(context: &Context, status: &mut CertificateStatus) -> Result<(), SecretError> {
    let store = &*context.store;
    let certificate = Slot::<CertificateDocument>::load(store)?.document;
    let order = Slot::<OrderDocument>::load(store)?
        .document
        .unwrap_or_default();
    if let Some(document) = &certificate {
        status.certificate = Some(summary(document, context.clock.now()));
        status.renew_at_ms = Some(document.renew_at_ms);
    }
    let renewal = store.renewal(SecretKind::Certificate);
    status.renewal = renewal.map(|renewal| format!("{renewal:?}").to_ascii_lowercase());
    status.order = order.pending.map(|pending| PendingCertificateOrder {
        url: pending.url,
        step: <&str>::from(pending.step).to_owned(),
        started_ms: pending.started_ms,
    });
    let attempts = order.attempts;
    status.last_success_ms = attempts.last_success_ms;
    status.last_failure = attempts.last_failure.map(|failure| CertificateFailure {
        at_ms: failure.at_ms,
        kind: <&str>::from(failure.kind).to_owned(),
        text: failure.text,
    });
    status.failure_count = attempts.failure_count;
    status.next_attempt_ms = attempts.next_attempt_ms;
    Ok(())
}

/// Sets the gauges.
pub(crate) fn measure(context: &Context, status: &CertificateStatus) {
    let secs = |millis: Option<u64>| (millis.unwrap_or(0) / 1000) as i64;
    let metrics = &context.metrics;
    let expiry = status
        .certificate
        .as_ref()
        .map(|certificate| certificate.not_after_ms);
    let failed = status.last_failure.as_ref().map(|failure| failure.at_ms);
    metrics
        .last_success_timestamp_seconds
        .set(secs(status.last_success_ms));
    metrics.last_failure_timestamp_seconds.set(secs(failed));
    metrics
        .renewal_timestamp_seconds
        .set(secs(status.renew_at_ms));
    metrics.expiry_timestamp_seconds.set(secs(expiry));
    metrics.failed_attempts.set(status.failure_count.into());
}
