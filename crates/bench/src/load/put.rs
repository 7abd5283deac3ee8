//! PUTs of packets that were signed before.

use http_body_util::Full;
use hyper::{Request, StatusCode, body::Bytes};
use quorate_tests::Packet;

use super::connections::Requests;
use crate::relay::Relay;

/// What is done when every packet has been sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AtEnd {
    /// The work ends.
    Stop,
    /// The same bytes are sent again, as endpoints do that have nothing new to say.
    Refresh,
}

/// PUTs of `packets` in their order.
pub(crate) struct Puts {
    pub(crate) packets: Vec<Packet>,
    pub(crate) at_end: AtEnd,
}

impl Puts {
    fn packet(&self, number: u64) -> Option<&Packet> {
        let number = usize::try_from(number).ok()?;
        match self.at_end {
            AtEnd::Stop => self.packets.get(number),
            AtEnd::Refresh => self.packets.get(number.checked_rem(self.packets.len())?),
        }
    }
}

impl Requests for Puts {
    fn request(&self, number: u64, relay: &Relay) -> Option<Request<Full<Bytes>>> {
        let packet = self.packet(number)?;
        Some(relay.request("PUT", &packet.key, packet.payload.clone()))
    }

    fn status(&self) -> StatusCode {
        StatusCode::NO_CONTENT
    }
}

#[cfg(test)]
mod tests {
    use hyper::body::Body;

    use super::*;

    fn puts(at_end: AtEnd) -> Puts {
        let packet = |key: &str| Packet {
            key: key.to_owned(),
            micros: 0,
            payload: Bytes::from_static(b"bytes"),
        };
        Puts {
            packets: vec![packet("a"), packet("b")],
            at_end,
        }
    }

    #[test]
    fn a_put_names_the_key_and_carries_the_payload() {
        let relay = "http://127.0.0.1:8081".parse().unwrap();
        let request = puts(AtEnd::Stop).request(1, &relay).unwrap();
        assert_eq!(
            (request.method().as_str(), request.uri().path()),
            ("PUT", "/pkarr/b")
        );
        assert_eq!(request.headers()["host"], "127.0.0.1:8081");
        assert_eq!(request.body().size_hint().exact(), Some(5));
    }

    #[test]
    fn packets_end_or_begin_again() {
        assert!(puts(AtEnd::Stop).packet(2).is_none());
        assert_eq!(puts(AtEnd::Refresh).packet(2).unwrap().key, "a");
        assert_eq!(puts(AtEnd::Refresh).packet(5).unwrap().key, "b");
    }
}
