//! The secrets of DNS cookies.

use quorate_clock::{ClockState, Reading};
use quorate_replica::OpenSecret;
use quorate_state::{COOKIE_SECRET_AGE, CookieSecret, CookieSecrets, SecretKind, SecretState};

/// Whether a new secret of DNS cookies is due: there is none, it is a day old, or it was sealed by an earlier
/// cluster key, so that a removed node may know it. While clocks do not agree, no secret counts as old.
pub(super) fn is_due(secrets: &SecretState, reading: Reading) -> bool {
    let Some(stored) = secrets.stored.get(&SecretKind::DnsCookies) else {
        return true;
    };
    let is_old = reading.state == ClockState::Agreed
        && reading.time.since(stored.sealed.made) >= COOKIE_SECRET_AGE;
    is_old || secrets.key != Some(stored.sealed.key)
}

/// The secrets after `last`. Cookies of the last one are still accepted, unless it was sealed by an earlier key.
pub(super) fn next(
    current: CookieSecret,
    last: Option<&OpenSecret>,
    secrets: &SecretState,
) -> CookieSecrets {
    let stored = secrets.stored.get(&SecretKind::DnsCookies);
    let is_trusted = stored.is_some_and(|stored| secrets.key == Some(stored.sealed.key));
    let last = last.filter(|_| is_trusted);
    let last = last.and_then(|last| CookieSecrets::from_bytes(&last.content));
    CookieSecrets {
        current,
        previous: last.map(|last| last.current),
    }
}
