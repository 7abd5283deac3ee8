//! GETs of packets, there or not.

use std::io::Write;

use super::{
    Bounds, Outcome,
    connections::{Requests, drive},
};
use crate::relay_url::RelayUrl;

/// What is expected of a name: in HTTP of a key, in DNS of `_iroh` below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expect {
    /// It is there.
    Found,
    /// There is no such thing.
    Absent,
}

/// GETs `keys` in turn, again and again.
pub(crate) async fn run(
    keys: Vec<String>,
    expect: Expect,
    relays: &[RelayUrl],
    connection_count: usize,
    bounds: Bounds,
) -> anyhow::Result<Outcome> {
    let gets = Gets { keys, expect };
    drive(gets, relays, connection_count, bounds).await
}

struct Gets {
    keys: Vec<String>,
    expect: Expect,
}

impl Requests for Gets {
    fn write(&self, number: u64, relay: &RelayUrl, request: &mut Vec<u8>) -> bool {
        let Some(key) = usize::try_from(number)
            .ok()
            .and_then(|number| number.checked_rem(self.keys.len()))
            .and_then(|number| self.keys.get(number))
        else {
            return false;
        };
        write!(
            request,
            "GET {}/{key} HTTP/1.1\r\nHost: {}\r\n\r\n",
            relay.path, relay.host,
        )
        .expect("a Vec takes every write");
        true
    }

    fn status(&self) -> u16 {
        match self.expect {
            Expect::Found => 200,
            Expect::Absent => 404,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_get_is_a_head() {
        let gets = Gets {
            keys: vec!["a".into(), "b".into()],
            expect: Expect::Found,
        };
        let relay = "http://127.0.0.1:8081/".parse().unwrap();
        let mut request = Vec::new();
        assert!(gets.write(3, &relay, &mut request));
        let expected = "GET /pkarr/b HTTP/1.1\r\nHost: 127.0.0.1:8081\r\n\r\n";
        assert_eq!(request, expected.as_bytes());
    }
}
