//! PUTs of packets that were signed before.

use std::io::Write;

use super::{
    Bounds, Outcome,
    connections::{Requests, drive},
};
use crate::{packets::Packet, relay_url::RelayUrl};

/// What is done when every packet has been sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AtEnd {
    /// The work ends.
    Stop,
    /// The same bytes are sent again, as endpoints do that have nothing new to say.
    Refresh,
}

/// PUTs `packets` in their order over `connection_count` connections, spread evenly over `relays`.
pub(crate) async fn run(
    packets: Vec<Packet>,
    at_end: AtEnd,
    relays: &[RelayUrl],
    connection_count: usize,
    bounds: Bounds,
) -> anyhow::Result<Outcome> {
    let puts = Puts { packets, at_end };
    drive(puts, relays, connection_count, bounds).await
}

struct Puts {
    packets: Vec<Packet>,
    at_end: AtEnd,
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
    fn write(&self, number: u64, relay: &RelayUrl, request: &mut Vec<u8>) -> bool {
        let Some(packet) = self.packet(number) else {
            return false;
        };
        write!(
            request,
            "PUT {}/{} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n",
            relay.path,
            packet.key,
            relay.host,
            packet.payload.len(),
        )
        .expect("a Vec takes every write");
        request.extend_from_slice(&packet.payload);
        true
    }

    fn status(&self) -> u16 {
        204
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn puts(at_end: AtEnd) -> Puts {
        let packet = |key: &str| Packet {
            key: key.to_owned(),
            payload: b"bytes".to_vec(),
        };
        Puts {
            packets: vec![packet("a"), packet("b")],
            at_end,
        }
    }

    #[test]
    fn a_put_is_head_and_payload() {
        let relay = "http://127.0.0.1:8081".parse().unwrap();
        let mut request = Vec::new();
        assert!(puts(AtEnd::Stop).write(1, &relay, &mut request));
        let expected =
            "PUT /pkarr/b HTTP/1.1\r\nHost: 127.0.0.1:8081\r\nContent-Length: 5\r\n\r\nbytes";
        assert_eq!(request, expected.as_bytes());
    }

    #[test]
    fn packets_end_or_begin_again() {
        assert!(puts(AtEnd::Stop).packet(2).is_none());
        assert_eq!(puts(AtEnd::Refresh).packet(2).unwrap().key, "a");
        assert_eq!(puts(AtEnd::Refresh).packet(5).unwrap().key, "b");
    }
}
