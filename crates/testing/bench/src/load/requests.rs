//! PUTs and GETs of packets.

use std::time::Duration;

use http_body_util::Full;
use hyper::{Method, Request, StatusCode, body::Bytes};
use quorate_ctl::RelayUrl;
use quorate_tests::Packet;

use super::Expect;
use crate::http;

/// Requests of one kind, for one key after the other.
pub(crate) struct Requests {
    method: Method,
    /// The key and the body of each request.
    of: Vec<(String, Bytes)>,
    /// Whether they start again after the last one.
    again: bool,
    /// The time from one to the next at least. A later start counts as latency.
    pub(crate) pause: Duration,
    /// The expected status.
    pub(crate) status: StatusCode,
}

impl Requests {
    /// PUTs of packets that were signed in advance, each once.
    pub(crate) fn puts(packets: Vec<Packet>) -> Self {
        let packets = packets.into_iter();
        Self {
            method: Method::PUT,
            of: packets.map(|packet| (packet.key, packet.payload)).collect(),
            again: false,
            pause: Duration::ZERO,
            status: StatusCode::NO_CONTENT,
        }
    }

    /// The same, so many a second.
    pub(crate) fn paced(self, per_sec: u32) -> Self {
        Self {
            pause: Duration::from_secs(1) / per_sec,
            ..self
        }
    }

    /// Repeated PUTs of the same bytes, by endpoints that have nothing new to publish.
    pub(crate) fn refreshes(packets: Vec<Packet>) -> Self {
        Self {
            again: true,
            ..Self::puts(packets)
        }
    }

    /// Repeated GETs of keys.
    pub(crate) fn gets(keys: Vec<String>, expect: Expect) -> Self {
        Self {
            method: Method::GET,
            of: keys.into_iter().map(|key| (key, Bytes::new())).collect(),
            again: true,
            pause: Duration::ZERO,
            status: match expect {
                Expect::Found => StatusCode::OK,
                Expect::Absent => StatusCode::NOT_FOUND,
            },
        }
    }

    /// The request of this number, from 0; `None` if there are no more.
    pub(crate) fn request(&self, number: u64, relay: &RelayUrl) -> Option<Request<Full<Bytes>>> {
        let number = usize::try_from(number).ok()?;
        let (key, body) = match self.again {
            true => &self.of[number.checked_rem(self.of.len())?],
            false => self.of.get(number)?,
        };
        let url = relay.url();
        let path = format!("{}/{key}", url.path().trim_end_matches('/'));
        let method = self.method.clone();
        Some(http::request(method, url.authority(), &path, body.clone()))
    }
}

#[cfg(test)]
mod tests {
    use hyper::body::Body;

    use super::*;

    fn packets() -> Vec<Packet> {
        let packet = |key: &str| Packet {
            key: key.to_owned(),
            micros: 0,
            payload: Bytes::from_static(b"bytes"),
        };
        vec![packet("a"), packet("b")]
    }

    /// Method, path and host of a request.
    fn parts(requests: &Requests, number: u64) -> Option<(String, String, String)> {
        let relay = "http://127.0.0.1:8081/pkarr/".parse().unwrap();
        let request = requests.request(number, &relay)?;
        let host = request.headers()["host"].to_str().unwrap();
        let (method, path) = (request.method().as_str(), request.uri().path());
        Some((method.to_owned(), path.to_owned(), host.to_owned()))
    }

    fn expected(method: &str, path: &str) -> Option<(String, String, String)> {
        Some((method.into(), path.into(), "127.0.0.1:8081".into()))
    }

    #[test]
    fn a_put_names_the_key_and_carries_the_payload() {
        let puts = Requests::puts(packets());
        assert_eq!(parts(&puts, 1), expected("PUT", "/pkarr/b"));
        let relay = "http://127.0.0.1:8081/pkarr".parse().unwrap();
        let request = puts.request(1, &relay).unwrap();
        assert_eq!(request.body().size_hint().exact(), Some(5));
    }

    #[test]
    fn packets_end_or_begin_again() {
        assert_eq!(parts(&Requests::puts(packets()), 2), None);
        let refreshes = Requests::refreshes(packets());
        assert_eq!(parts(&refreshes, 2), expected("PUT", "/pkarr/a"));
        assert_eq!(parts(&refreshes, 5), expected("PUT", "/pkarr/b"));
    }

    #[test]
    fn keys_are_asked_for_in_turn() {
        let gets = Requests::gets(vec!["a".into(), "b".into()], Expect::Found);
        assert_eq!(parts(&gets, 3), expected("GET", "/pkarr/b"));
        assert_eq!(parts(&Requests::gets(vec![], Expect::Found), 0), None);
    }
}
