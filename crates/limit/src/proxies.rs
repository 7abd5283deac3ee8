//! Whose word about the client's address counts.

use std::net::{IpAddr, SocketAddr};

use crate::{NetworkError, Networks};

/// The proxies that stand before us and write `X-Forwarded-For`.
///
/// A proxy appends the address it was called from, so entries are the truer the further right they
/// stand, and the leftmost is whatever the client wished. Going from the socket's peer to the left,
/// the first address that is no trusted proxy is the client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Networks);

impl TrustedProxies {
    /// Parses addresses (`192.0.2.1`, `2001:db8::1`) and prefixes (`10.0.0.0/8`).
    pub fn parse<S: AsRef<str>>(
        proxies: impl IntoIterator<Item = S>,
    ) -> Result<Self, NetworkError> {
        Networks::parse(proxies).map(Self)
    }

    /// The client's address, given the socket's peer and the values of all `X-Forwarded-For`
    /// fields in their order.
    ///
    /// The fields are read only if the peer is a trusted proxy. An entry that is no address ends
    /// the walk: the proxy that wrote it is then all that is known of the client.
    pub fn client_address<'a>(
        &self,
        peer: IpAddr,
        forwarded_for: impl DoubleEndedIterator<Item = &'a str>,
    ) -> IpAddr {
        let mut client = peer.to_canonical();
        let mut entries = forwarded_for.rev().flat_map(|value| value.rsplit(','));
        while self.0.contains(client) {
            match entries.next().and_then(parse_entry) {
                Some(address) => client = address,
                None => break,
            }
        }
        client
    }
}

/// An entry of `X-Forwarded-For`: an address, which some proxies write with a port, or `unknown`
/// and the like.
fn parse_entry(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim();
    let bare = entry.strip_prefix('[').and_then(|e| e.strip_suffix(']'));
    let address = bare.unwrap_or(entry).parse::<IpAddr>();
    address
        .or_else(|_| entry.parse::<SocketAddr>().map(|address| address.ip()))
        .map(|address| address.to_canonical())
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, forwarded_for: &[&str]) -> String {
        TrustedProxies::parse(["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"])
            .unwrap()
            .client_address(peer.parse().unwrap(), forwarded_for.iter().copied())
            .to_string()
    }

    #[test]
    fn the_header_of_an_untrusted_peer_is_not_believed() {
        assert_eq!(client("203.0.113.1", &["198.51.100.1"]), "203.0.113.1");
        assert_eq!(client("192.0.2.8", &["198.51.100.1"]), "192.0.2.8");
        let none = TrustedProxies::default();
        let peer = "10.0.0.1".parse().unwrap();
        assert_eq!(
            none.client_address(peer, ["198.51.100.1"].into_iter()),
            peer
        );
    }

    #[test]
    fn the_rightmost_entry_that_is_no_proxy_is_the_client() {
        assert_eq!(client("10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(
            client("10.0.0.1", &["1.2.3.4, 198.51.100.1, 192.0.2.7"]),
            "198.51.100.1",
            "the client's own claim stands further left"
        );
        assert_eq!(
            client(
                "10.0.0.1",
                &["1.2.3.4", "198.51.100.1,10.9.9.9", "2001:db8::5"]
            ),
            "198.51.100.1",
            "fields that repeat are one list"
        );
    }

    #[test]
    fn without_an_untrusted_entry_the_outermost_proxy_is_the_client() {
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &["10.0.0.3, 10.0.0.2"]), "10.0.0.3");
    }

    #[test]
    fn an_entry_that_is_no_address_ends_the_walk() {
        for entry in ["unknown", "", "1.2.3", "_hidden", "[::1", "1.2.3.4:99999"] {
            let value = format!("198.51.100.1, {entry}");
            assert_eq!(client("10.0.0.1", &[&value]), "10.0.0.1", "{entry}");
        }
    }

    #[test]
    fn ports_brackets_and_mapped_addresses_are_read() {
        for (entry, address) in [
            ("198.51.100.1:4711", "198.51.100.1"),
            ("[2a00::1]:4711", "2a00::1"),
            ("[2a00::1]", "2a00::1"),
            ("2a00::1", "2a00::1"),
            ("::ffff:198.51.100.1", "198.51.100.1"),
        ] {
            assert_eq!(client("10.0.0.1", &[entry]), address, "{entry}");
        }
        assert_eq!(client("::ffff:10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
    }
}
