//! The secrets of DNS cookies, shared by all nodes.

use std::{fmt, time::Duration};

use crate::UnixMillis;

/// How long a secret creates cookies. For the same time afterwards its cookies are still accepted.
///
/// RFC 9018, section 5, allows a secret for at most 36 days, and requires accepting both the old and the new
/// one for a time. A client keeps a cookie for at most one hour (section 4.3), so one day loses none, and a
/// leaked secret is worthless after two days.
pub const COOKIE_SECRET_AGE: Duration = Duration::from_secs(24 * 3600);

/// The size of a secret, in bytes: a key of SipHash-2-4 (RFC 9018, section 4.4).
pub const COOKIE_SECRET_SIZE: usize = 16;

/// A secret. Nothing prints it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CookieSecret(pub [u8; COOKIE_SECRET_SIZE]);

/// Hides the secret, which must not be logged.
impl fmt::Debug for CookieSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CookieSecret(..)")
    }
}

/// The secrets of DNS cookies (RFC 7873, RFC 9018), equal on all nodes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CookieSecrets {
    /// Creates and checks cookies.
    pub current: Option<CookieSecret>,
    /// Checks its earlier cookies.
    pub previous: Option<CookieSecret>,
    /// The cluster time at which the current one was proposed.
    pub rotated: UnixMillis,
}

impl CookieSecrets {
    /// Whether a new secret is due.
    pub fn is_due(&self, now: UnixMillis) -> bool {
        self.current.is_none() || now.since(self.rotated) >= COOKIE_SECRET_AGE
    }

    /// Makes `secret` the current one, if due. Of two leaders that propose one each, only the first
    /// succeeds; otherwise the cookies of the last day would become invalid.
    pub(crate) fn rotate(&mut self, secret: CookieSecret, now: UnixMillis) {
        if self.is_due(now) {
            self.previous = self.current.replace(secret);
            self.rotated = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::millis;

    #[test]
    fn a_secret_makes_cookies_for_a_day_and_knows_them_for_another() {
        let mut secrets = CookieSecrets::default();
        let [a, b, c] = [1, 2, 3].map(|byte| CookieSecret([byte; COOKIE_SECRET_SIZE]));
        let day = millis(COOKIE_SECRET_AGE);
        secrets.rotate(a, UnixMillis(5));
        assert_eq!((secrets.current, secrets.previous), (Some(a), None));
        for early in [0, 5, 4 + day] {
            secrets.rotate(b, UnixMillis(early));
            assert_eq!((secrets.current, secrets.previous), (Some(a), None));
        }
        secrets.rotate(b, UnixMillis(5 + day));
        assert_eq!((secrets.current, secrets.previous), (Some(b), Some(a)));
        secrets.rotate(c, UnixMillis(5 + day));
        assert_eq!(secrets.current, Some(b), "another leader's, at once");
        secrets.rotate(c, UnixMillis(5 + 2 * day));
        assert_eq!((secrets.current, secrets.previous), (Some(c), Some(b)));
    }
}
