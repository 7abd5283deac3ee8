//! GETs of packets, there or not.

use http_body_util::Full;
use hyper::{Request, StatusCode, body::Bytes};

use super::connections::Requests;
use crate::relay::Relay;

/// What is expected of a name: in HTTP of a key, in DNS of `_iroh` below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expect {
    /// It is there.
    Found,
    /// There is no such thing.
    Absent,
}

/// GETs of `keys` in turn, again and again.
pub(crate) struct Gets {
    pub(crate) keys: Vec<String>,
    pub(crate) expect: Expect,
}

impl Requests for Gets {
    fn request(&self, number: u64, relay: &Relay) -> Option<Request<Full<Bytes>>> {
        let number = usize::try_from(number).ok()?;
        let key = &self.keys[number.checked_rem(self.keys.len())?];
        Some(relay.request("GET", key, Bytes::new()))
    }

    fn status(&self) -> StatusCode {
        match self.expect {
            Expect::Found => StatusCode::OK,
            Expect::Absent => StatusCode::NOT_FOUND,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_asked_for_in_turn() {
        let mut gets = Gets {
            keys: vec!["a".into(), "b".into()],
            expect: Expect::Found,
        };
        let relay = "http://127.0.0.1:8081/".parse().unwrap();
        let request = gets.request(3, &relay).unwrap();
        assert_eq!(
            (request.method().as_str(), request.uri().path()),
            ("GET", "/pkarr/b")
        );
        assert_eq!(request.headers()["host"], "127.0.0.1:8081");
        gets.keys.clear();
        assert!(gets.request(0, &relay).is_none());
    }
}
