//! When the authority suggests to renew the certificate (RFC 9773).

use std::{borrow::Cow, time::Duration};

use instant_acme::{Account, CertificateIdentifier, Error};
use quorate_replica::{SecretKind, UnixMillis};
use tracing::{debug, info};

use crate::{
    backoff::fraction,
    clock::shown,
    context::Context,
    documents::{CertificateDocument, RenewalWindow},
    failure::{Stop, with_sources},
    stored::Slot,
};

/// How often to look, at least and at most (RFC 9773, section 4.3.2).
const LOOK_INTERVAL_MIN: Duration = Duration::from_mins(1);
pub(crate) const LOOK_INTERVAL_MAX: Duration = Duration::from_hours(6);

/// Looks for a suggestion and stores its window, if it has changed. Returns when to look again. A failure
/// is none of an order: without a suggestion, the age of the certificate counts.
pub(crate) async fn look(context: &Context, account: &Account) -> Result<UnixMillis, Stop> {
    let now = context.clock.now();
    let later = now.saturating_add(LOOK_INTERVAL_MAX);
    let store = &*context.store;
    let mut slot = Slot::<CertificateDocument>::load(store)?;
    // To store the certificate would meet a demand.
    let is_demanded = store.renewal(SecretKind::Certificate).is_some();
    let Some(document) = slot.document.clone().filter(|_| !is_demanded) else {
        return Ok(later);
    };
    let Some(id) = document.ari_id.as_deref().and_then(|id| id.split_once('.')) else {
        return Ok(later);
    };
    let id = CertificateIdentifier {
        authority_key_identifier: Cow::Borrowed(id.0),
        serial: Cow::Borrowed(id.1),
    };
    let (info, retry_after) = match account.renewal_info(&id).await {
        Ok(info) => info,
        Err(Error::Unsupported(_)) => return Ok(later),
        Err(error) => {
            debug!(
                reason = with_sources(&error),
                "the authority suggests no time of renewal"
            );
            return Ok(later);
        }
    };
    let millis = |time: i128| u64::try_from(time / 1_000_000).unwrap_or(0);
    let window = RenewalWindow {
        start_ms: millis(info.suggested_window.start.unix_timestamp_nanos()),
        end_ms: millis(info.suggested_window.end.unix_timestamp_nanos()),
    };
    let again = now.saturating_add(retry_after.clamp(LOOK_INTERVAL_MIN, LOOK_INTERVAL_MAX));
    if let Some(renew_at_ms) = moment(&document, window)
        && document.window != Some(window)
    {
        info!(
            renew_at = shown(renew_at_ms),
            "the authority suggests when to renew the certificate"
        );
        let window = Some(window);
        slot.save(
            store,
            CertificateDocument {
                window,
                renew_at_ms,
                ..document
            },
        )
        .await?;
    }
    Ok(again)
}

/// A moment in the window that looks random and is always the same for this certificate. `None` if the window cannot
/// be meant: it is reversed, or the certificate expires before it.
fn moment(certificate: &CertificateDocument, window: RenewalWindow) -> Option<u64> {
    let length = window.end_ms.checked_sub(window.start_ms)?;
    if window.start_ms >= certificate.not_after_ms {
        return None;
    }
    let share = fraction(&[
        certificate.chain_pem.as_bytes(),
        &window.start_ms.to_be_bytes(),
        &window.end_ms.to_be_bytes(),
    ]);
    let moment = window.start_ms + (length as f64 * share) as u64;
    Some(moment.min(certificate.not_after_ms))
}

#[cfg(test)]
#[path = "renewal_tests.rs"]
mod tests;
