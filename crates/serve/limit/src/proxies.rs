//! Finds the address of a client behind trusted proxies.

use std::net::IpAddr;

use crate::{
    Networks,
    forwarded::{forwarded_hops, parse_node},
};

/// Networks of the trusted proxies in front of this node, which write `X-Forwarded-For` or
/// `Forwarded` (RFC 7239).
///
/// A proxy appends the address that called it. So the rightmost entry is the most reliable, and the
/// client can forge the leftmost. Going from the socket's peer to the left, the first address that
/// is not a trusted proxy is the client.
///
/// A proxy that writes one of the two fields forwards the other as the client sent it, and nothing
/// in a request shows which. So if both are there and name different clients, neither is trusted,
/// and the proxy counts as the client: a client that forges a field shares the proxy's limits with
/// others that do. If honest clients send the other field, their proxy should remove it.
impl Networks {
    /// The client's address, given the socket's peer and the values of all `X-Forwarded-For` and
    /// all `Forwarded` fields, each in their order.
    ///
    /// The fields are read only if the peer is a trusted proxy. An entry that is not an address
    /// ends the search: then only the proxy that wrote it is known.
    pub fn client_address<'a>(
        &self,
        peer: IpAddr,
        x_forwarded_for: impl DoubleEndedIterator<Item = &'a str>,
        forwarded: impl DoubleEndedIterator<Item = &'a str>,
    ) -> IpAddr {
        let peer = peer.to_canonical();
        if !self.contains(peer) {
            return peer;
        }
        let entries = x_forwarded_for.rev().flat_map(|value| value.rsplit(','));
        let entries = entries.map(parse_node);
        let hops = forwarded.rev();
        let hops = hops.flat_map(|value| forwarded_hops(value).into_iter().rev());
        match (self.walk(peer, entries), self.walk(peer, hops)) {
            (Some(one), Some(other)) if one != other => peer,
            (one, other) => one.or(other).unwrap_or(peer),
        }
    }

    /// The first address to the left that is not a proxy, or else the leftmost proxy. `None` if
    /// there are no hops.
    fn walk(&self, peer: IpAddr, hops: impl Iterator<Item = Option<IpAddr>>) -> Option<IpAddr> {
        let mut hops = hops.peekable();
        hops.peek()?;
        let mut client = peer;
        while self.contains(client) {
            match hops.next().flatten() {
                Some(address) => client = address,
                None => break,
            }
        }
        Some(client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, forwarded_for: &[&str]) -> String {
        let proxies = ["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"];
        let proxies = Networks::parse(proxies).unwrap();
        proxies
            .client_address(
                peer.parse().unwrap(),
                forwarded_for.iter().copied(),
                [].into_iter(),
            )
            .to_string()
    }

    fn client_of_both(x_forwarded_for: &[&str], forwarded: &[&str]) -> String {
        let proxies = Networks::parse(["10.0.0.0/8"]).unwrap();
        let peer = "10.0.0.1".parse().unwrap();
        let x_forwarded_for = x_forwarded_for.iter().copied();
        proxies
            .client_address(peer, x_forwarded_for, forwarded.iter().copied())
            .to_string()
    }

    #[test]
    fn the_header_of_an_untrusted_peer_is_ignored() {
        assert_eq!(client("203.0.113.1", &["198.51.100.1"]), "203.0.113.1");
        assert_eq!(client("192.0.2.8", &["198.51.100.1"]), "192.0.2.8");
        let none = Networks::default();
        let peer = "10.0.0.1".parse().unwrap();
        assert_eq!(
            none.client_address(
                peer,
                ["198.51.100.1"].into_iter(),
                ["for=198.51.100.1"].into_iter()
            ),
            peer
        );
    }

    #[test]
    fn the_rightmost_entry_that_is_not_a_proxy_is_the_client() {
        assert_eq!(client("10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(
            client("10.0.0.1", &["1.2.3.4, 198.51.100.1, 192.0.2.7"]),
            "198.51.100.1",
            "the client's own claim is further left"
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
    fn an_entry_that_is_not_an_address_ends_the_search() {
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

    #[test]
    fn forwarded_is_read_like_x_forwarded_for() {
        for (fields, address) in [
            (&["for=198.51.100.1"][..], "198.51.100.1"),
            (
                &["for=1.2.3.4, for=198.51.100.1;proto=https, for=10.9.9.9"],
                "198.51.100.1",
            ),
            (
                &["for=1.2.3.4", r#"for="[2a00::1]:80""#, "for=10.9.9.9"],
                "2a00::1",
            ),
            (&["for=198.51.100.1, for=_hidden"], "10.0.0.1"),
            (&["for=198.51.100.1, for=unknown, for=10.0.0.2"], "10.0.0.2"),
            (&["for=198.51.100.1, proto=https"], "10.0.0.1"),
            (&[r#"for="1.2.3.4, for=198.51.100.1"#], "10.0.0.1"),
        ] {
            assert_eq!(client_of_both(&[], fields), address, "{fields:?}");
        }
    }

    /// One of them may be the client's own, and nobody can tell which.
    #[test]
    fn two_fields_that_differ_are_both_ignored() {
        for (x_forwarded_for, forwarded, address) in [
            ("198.51.100.1", "for=198.51.100.1", "198.51.100.1"),
            (
                "1.2.3.4, 198.51.100.1, 10.0.0.2",
                "for=198.51.100.1",
                "198.51.100.1",
            ),
            ("198.51.100.1", "for=192.0.2.1", "10.0.0.1"),
            ("192.0.2.1", "for=198.51.100.1", "10.0.0.1"),
            ("198.51.100.1", "for=_hidden", "10.0.0.1"),
            ("unknown", "for=198.51.100.1", "10.0.0.1"),
        ] {
            let client = client_of_both(&[x_forwarded_for], &[forwarded]);
            assert_eq!(client, address, "{x_forwarded_for} and {forwarded}");
        }
    }
}
