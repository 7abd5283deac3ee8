//! DNS cookies (RFC 7873) in the format that all servers of a zone can share (RFC 9018).

use std::{hash::Hasher, net::IpAddr};

use siphasher::sip::SipHasher24;
use strum::{IntoStaticStr, VariantArray};
use subtle::ConstantTimeEq;

use crate::edns::CLIENT_COOKIE_SIZE;

/// The size of a cookie in a response, in bytes: the client cookie and the server cookie (RFC 9018,
/// section 4).
pub(crate) const COOKIE_SIZE: usize = CLIENT_COOKIE_SIZE + SERVER_COOKIE_SIZE;

const SERVER_COOKIE_SIZE: usize = 16;

/// The only version of server cookies.
const VERSION: u8 = 1;

/// The largest age of a valid cookie, in seconds (RFC 9018, section 4.3).
const AGE_SECS_MAX: u32 = 3600;

/// How far the timestamp of a valid cookie may be in the future, in seconds (the same).
const AHEAD_SECS_MAX: u32 = 300;

/// From this age on the response has a new cookie, in seconds (the same).
const RENEWAL_AGE_SECS: u32 = 1800;

/// The size of a secret, in bytes.
const SECRET_SIZE: usize = 16;

/// Creates and checks server cookies, with secrets that all nodes share.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct ServerCookies {
    pub(crate) current: [u8; SECRET_SIZE],
    /// The secret before the last rotation. Its cookies stay valid until they expire.
    pub(crate) previous: Option<[u8; SECRET_SIZE]>,
}

/// The result of checking the cookie of a query.
/// The names are the label values in metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, VariantArray, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum CookieStatus {
    /// The server cookie is valid: the client received it at the address that the query came from.
    Valid,
    /// There is only a client cookie, as in a client's first query. It proves nothing.
    ClientOnly,
    /// The server cookie is forged, expired, or for another address. It proves nothing.
    Invalid,
}

impl ServerCookies {
    /// Checks a cookie from `address` at `now_secs`, in seconds since the epoch. Returns the result
    /// and the cookie for the response.
    pub(crate) fn check(
        &self,
        (client, server): (&[u8; CLIENT_COOKIE_SIZE], &[u8]),
        address: IpAddr,
        now_secs: u32,
    ) -> (CookieStatus, [u8; COOKIE_SIZE]) {
        let new_cookie = || self.new_cookie(client, address, now_secs);
        if server.is_empty() {
            return (CookieStatus::ClientOnly, new_cookie());
        }
        let Ok(server) = <&[u8; SERVER_COOKIE_SIZE]>::try_from(server) else {
            return (CookieStatus::Invalid, new_cookie());
        };
        let (head, hash) = server.split_at(8);
        let created_secs = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
        // Serial number arithmetic (RFC 1982), because 32 bits of seconds wrap around in 2106.
        let age_secs = now_secs.wrapping_sub(created_secs);
        let is_ahead = created_secs.wrapping_sub(now_secs) <= AHEAD_SECS_MAX;
        if head[0] != VERSION || !(age_secs <= AGE_SECS_MAX || is_ahead) {
            return (CookieStatus::Invalid, new_cookie());
        }
        let is_of = |secret: &[u8; SECRET_SIZE]| {
            let ours = hash_of(secret, client, head, address).to_le_bytes();
            // In constant time, so that the duration does not reveal where they differ.
            bool::from(ours.ct_eq(hash))
        };
        if is_of(&self.current) {
            let fresh = is_ahead || age_secs < RENEWAL_AGE_SECS;
            let cookie = if fresh {
                joined(client, server)
            } else {
                new_cookie()
            };
            return (CookieStatus::Valid, cookie);
        }
        match self.previous.as_ref().is_some_and(is_of) {
            true => (CookieStatus::Valid, new_cookie()),
            false => (CookieStatus::Invalid, new_cookie()),
        }
    }

    fn new_cookie(
        &self,
        client: &[u8; CLIENT_COOKIE_SIZE],
        address: IpAddr,
        now_secs: u32,
    ) -> [u8; COOKIE_SIZE] {
        let mut server = [0; SERVER_COOKIE_SIZE];
        server[0] = VERSION;
        server[4..8].copy_from_slice(&now_secs.to_be_bytes());
        let hash = hash_of(&self.current, client, &server[..8], address);
        server[8..].copy_from_slice(&hash.to_le_bytes());
        joined(client, &server)
    }
}

/// The hash of the cookie's other fields and the client's address (RFC 9018, section 4.4).
fn hash_of(
    secret: &[u8; SECRET_SIZE],
    client: &[u8; CLIENT_COOKIE_SIZE],
    head: &[u8],
    address: IpAddr,
) -> u64 {
    let mut hasher = SipHasher24::new_with_key(secret);
    hasher.write(client);
    hasher.write(head);
    match address {
        IpAddr::V4(address) => hasher.write(&address.octets()),
        IpAddr::V6(address) => hasher.write(&address.octets()),
    }
    hasher.finish()
}

fn joined(
    client: &[u8; CLIENT_COOKIE_SIZE],
    server: &[u8; SERVER_COOKIE_SIZE],
) -> [u8; COOKIE_SIZE] {
    let mut cookie = [0; COOKIE_SIZE];
    cookie[..CLIENT_COOKIE_SIZE].copy_from_slice(client);
    cookie[CLIENT_COOKIE_SIZE..].copy_from_slice(server);
    cookie
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    fn cookies_of(
        current: [u8; SECRET_SIZE],
        previous: Option<[u8; SECRET_SIZE]>,
    ) -> ServerCookies {
        ServerCookies { current, previous }
    }

    const NOW_SECS: u32 = 1_559_731_985;
    const CLIENT: [u8; CLIENT_COOKIE_SIZE] = [1, 2, 3, 4, 5, 6, 7, 8];

    fn secret(hex: &str) -> [u8; SECRET_SIZE] {
        HEXLOWER.decode(hex.as_bytes()).unwrap().try_into().unwrap()
    }

    fn cookies() -> ServerCookies {
        cookies_of([5; SECRET_SIZE], None)
    }

    fn address() -> IpAddr {
        [192, 0, 2, 1].into()
    }

    fn status(
        cookies: &ServerCookies,
        server: &[u8],
        address: IpAddr,
        now_secs: u32,
    ) -> CookieStatus {
        cookies.check((&CLIENT, server), address, now_secs).0
    }

    /// The server part of a cookie that is created at [`NOW_SECS`].
    fn server_part(cookies: &ServerCookies) -> Vec<u8> {
        let (status, cookie) = cookies.check((&CLIENT, &[]), address(), NOW_SECS);
        assert_eq!(status, CookieStatus::ClientOnly);
        cookie[CLIENT_COOKIE_SIZE..].to_vec()
    }

    /// Secrets (current, previous), the client's address, its cookie and the time, the cookie of
    /// the response: RFC 9018, appendix A.1, A.2 and A.4.
    #[test]
    fn cookies_match_the_examples_of_the_rfc() {
        let first = "e5e973e5a6b2a43f48e7dc849e37bfcf";
        let old = "dd3bdf9344b678b185a6f5cb60fca715";
        let new = "445536bcd2513298075a5d379663c962";
        for (current, previous, address, request_cookie, now_secs, response_cookie) in [
            (
                first,
                None,
                "198.51.100.100",
                "2464c4abcf10c957",
                1_559_731_985,
                "2464c4abcf10c957010000005cf79f111f8130c3eee29480",
            ),
            (
                first,
                None,
                "198.51.100.100",
                "2464c4abcf10c957010000005cf79f111f8130c3eee29480",
                1_559_734_385,
                "2464c4abcf10c957010000005cf7a871d4a564a1442aca77",
            ),
            (
                new,
                Some(old),
                "2001:db8:220:1:59de:d0f4:8769:82b8",
                "22681ab97d52c298010000005cf7c57926556bd0934c72f8",
                1_559_741_961,
                "22681ab97d52c298010000005cf7c609a6bb79d16625507a",
            ),
        ] {
            let cookies = cookies_of(secret(current), previous.map(secret));
            let request_cookie = HEXLOWER.decode(request_cookie.as_bytes()).unwrap();
            let (client, server) = request_cookie.split_first_chunk().unwrap();
            let (status, cookie) =
                cookies.check((client, server), address.parse().unwrap(), now_secs);
            let expected = if server.is_empty() {
                CookieStatus::ClientOnly
            } else {
                CookieStatus::Valid
            };
            assert_eq!(status, expected);
            assert_eq!(HEXLOWER.encode(&cookie), response_cookie);
        }
    }

    /// RFC 9018, appendix A.3. The query there comes 112 minutes after its cookie was created,
    /// which is too late according to section 4.3.
    #[test]
    fn reserved_bytes_are_in_the_hash_and_not_repeated() {
        let cookies = cookies_of(secret("e5e973e5a6b2a43f48e7dc849e37bfcf"), None);
        let request_cookie = HEXLOWER.decode(b"fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5");
        let request_cookie = request_cookie.unwrap();
        let (client, server) = request_cookie.split_first_chunk().unwrap();
        let address = [203, 0, 113, 203].into();
        let in_time = cookies.check((client, server), address, 1_559_727_985 + 1800);
        assert_eq!(in_time.0, CookieStatus::Valid);
        let (status, cookie) = cookies.check((client, server), address, 1_559_734_700);
        assert_eq!(status, CookieStatus::Invalid);
        assert_eq!(
            HEXLOWER.encode(&cookie),
            "fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e"
        );
    }

    #[test]
    fn a_cookie_is_valid_for_an_hour_and_renewed_after_half_of_it() {
        let cookies = cookies();
        let server = server_part(&cookies);
        for (age_secs, valid, renewed) in [
            (0, true, false),
            (1799, true, false),
            (1800, true, true),
            (3600, true, true),
            (3601, false, true),
        ] {
            let now_secs = NOW_SECS + age_secs;
            let (status, cookie) = cookies.check((&CLIENT, &server), address(), now_secs);
            assert_eq!(status == CookieStatus::Valid, valid, "{age_secs}");
            assert_eq!(
                cookie[CLIENT_COOKIE_SIZE..] != server,
                renewed,
                "{age_secs}"
            );
        }
    }

    #[test]
    fn a_clock_may_be_five_minutes_ahead() {
        let cookies = cookies();
        let server = server_part(&cookies);
        assert_eq!(
            status(&cookies, &server, address(), NOW_SECS - 300),
            CookieStatus::Valid
        );
        assert_eq!(
            status(&cookies, &server, address(), NOW_SECS - 301),
            CookieStatus::Invalid
        );
    }

    #[test]
    fn a_cookie_is_for_one_address_and_one_secret() {
        let server = server_part(&cookies());
        let elsewhere = [192, 0, 2, 2].into();
        assert_eq!(
            status(&cookies(), &server, elsewhere, NOW_SECS),
            CookieStatus::Invalid
        );
        let rotated = cookies_of([6; SECRET_SIZE], Some([5; SECRET_SIZE]));
        assert_eq!(
            status(&rotated, &server, address(), NOW_SECS),
            CookieStatus::Valid
        );
        let twice = cookies_of([7; SECRET_SIZE], Some([6; SECRET_SIZE]));
        assert_eq!(
            status(&twice, &server, address(), NOW_SECS),
            CookieStatus::Invalid
        );
    }

    #[test]
    fn other_bytes_are_not_a_valid_cookie() {
        let cookies = cookies();
        let server = server_part(&cookies);
        for at in 0..server.len() {
            let mut changed = server.clone();
            changed[at] ^= 1;
            assert_eq!(
                status(&cookies, &changed, address(), NOW_SECS),
                CookieStatus::Invalid,
                "{at}"
            );
        }
        for size in [8, 15, 17, 32] {
            let other = vec![1; size];
            assert_eq!(
                status(&cookies, &other, address(), NOW_SECS),
                CookieStatus::Invalid,
                "{size}"
            );
        }
    }
}
