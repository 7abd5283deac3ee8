//! The secrets of DNS cookies, shared by all nodes.

use std::{fmt, time::Duration};

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CookieSecrets {
    /// Creates and checks cookies.
    pub current: CookieSecret,
    /// Checks the cookies of the day before.
    pub previous: Option<CookieSecret>,
}

impl CookieSecrets {
    /// The bytes that are sealed: the current secret, and the previous one if there is one.
    pub fn to_bytes(self) -> Vec<u8> {
        let previous = self.previous.map(|previous| previous.0);
        [
            &self.current.0[..],
            previous.as_ref().map_or(&[], |bytes| &bytes[..]),
        ]
        .concat()
    }

    /// Reads the output of [`to_bytes`](Self::to_bytes). `None` for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (current, rest) = bytes.split_first_chunk()?;
        let previous = match rest.is_empty() {
            true => None,
            false => Some(CookieSecret(rest.try_into().ok()?)),
        };
        Some(Self {
            current: CookieSecret(*current),
            previous,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_read_as_they_were_written() {
        let current = CookieSecret([1; _]);
        for previous in [None, Some(CookieSecret([2; _]))] {
            let secrets = CookieSecrets { current, previous };
            assert_eq!(
                CookieSecrets::from_bytes(&secrets.to_bytes()),
                Some(secrets)
            );
        }
        for size in [0, 15, 17, 31, 33] {
            assert_eq!(CookieSecrets::from_bytes(&vec![0; size]), None, "{size}");
        }
    }
}
