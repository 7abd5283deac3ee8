//! The URL of a relay.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    str::FromStr,
};

use quorate_packet::PublicKey;
use reqwest::Url;

use crate::http;

/// The relay of a node on this machine with the default settings.
pub(crate) const DEFAULT_RELAY: &str = "http://127.0.0.1:8080/pkarr";

/// The port of HTTP in the default settings. Node *i* of `quorate dev` adds *i*.
const HTTP_PORT: u16 = 8080;

/// The port of DNS in the default settings. Node *i* of `quorate dev` adds *i*.
const DNS_PORT: u16 = 5300;

/// How many nodes `quorate dev` has at most.
const DEV_NODE_COUNT_MAX: u16 = 5;

/// The origin of `quorate dev`.
pub const DEV_ORIGIN: &str = "quorate.test";

/// The base URL of the packets of a relay: `http://host:port/path`, or `https`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayUrl(Url);

impl RelayUrl {
    /// The URL of the packet of `key`.
    pub fn packet(&self, key: &PublicKey) -> Url {
        let mut url = self.0.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push(&key.to_string());
        }
        url
    }

    /// Its host and port.
    pub(crate) fn host_and_port(&self) -> (&str, u16) {
        (
            self.0.host_str().unwrap_or_default(),
            self.0.port_or_known_default().unwrap_or_default(),
        )
    }

    /// The DNS server and the zone of the node with this relay, as far as they follow from its URL: that
    /// of a node on this machine with the default ports, and for `quorate dev` the zone too.
    pub(crate) fn dns(&self) -> (Option<SocketAddr>, Option<&'static str>) {
        let (host, port) = self.host_and_port();
        let address = match host {
            "localhost" => Ok(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            host => host.trim_matches(['[', ']']).parse::<IpAddr>(),
        };
        let number = port.wrapping_sub(HTTP_PORT);
        match address {
            Ok(address) if address.is_loopback() && number <= DEV_NODE_COUNT_MAX => {
                let server = SocketAddr::new(address, DNS_PORT + number);
                (Some(server), (number > 0).then_some(DEV_ORIGIN))
            }
            _ => (None, None),
        }
    }

    /// The URL itself.
    pub fn url(&self) -> &Url {
        &self.0
    }
}

/// The relay of a node that listens here, without encryption.
impl From<SocketAddr> for RelayUrl {
    fn from(address: SocketAddr) -> Self {
        let url = Url::parse(&format!("http://{address}/pkarr"));
        Self(url.expect("an address makes a URL"))
    }
}

impl FromStr for RelayUrl {
    type Err = anyhow::Error;

    fn from_str(s: &str) -> anyhow::Result<Self> {
        http::parse_url(s, DEFAULT_RELAY).map(Self)
    }
}

impl fmt::Display for RelayUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_becomes_the_last_segment() {
        let key = PublicKey::from_bytes([7; 32]);
        for relay in [
            "http://127.0.0.1:8081/pkarr",
            "http://127.0.0.1:8081/pkarr/",
        ] {
            let relay: RelayUrl = relay.parse().unwrap();
            assert_eq!(
                relay.packet(&key).as_str(),
                format!("http://127.0.0.1:8081/pkarr/{key}")
            );
        }
        let bare: RelayUrl = "https://relay.example.org".parse().unwrap();
        assert_eq!(
            bare.packet(&key).as_str(),
            format!("https://relay.example.org/{key}")
        );
    }

    #[test]
    fn only_http_urls_are_accepted() {
        assert!("ftp://example.org".parse::<RelayUrl>().is_err());
        assert!("example.org".parse::<RelayUrl>().is_err());
    }

    #[test]
    fn host_and_port_are_returned() {
        let relay: RelayUrl = "http://127.0.0.1:8081/a/b/".parse().unwrap();
        assert_eq!(relay.host_and_port(), ("127.0.0.1", 8081));
        let bare: RelayUrl = "http://[::1]".parse().unwrap();
        assert_eq!(bare.host_and_port(), ("[::1]", 80));
    }

    #[test]
    fn the_dns_server_of_a_node_on_this_machine_is_known() {
        for (relay, server, origin) in [
            (DEFAULT_RELAY, Some("127.0.0.1:5300"), None),
            ("http://localhost:8080/pkarr", Some("127.0.0.1:5300"), None),
            ("http://[::1]:8080/pkarr", Some("[::1]:5300"), None),
            (
                "http://127.0.0.1:8081/pkarr",
                Some("127.0.0.1:5301"),
                Some(DEV_ORIGIN),
            ),
            ("http://127.0.0.1:8086/pkarr", None, None),
            ("http://192.0.2.1:8080/pkarr", None, None),
            ("https://relay.example.org/pkarr", None, None),
        ] {
            let url: RelayUrl = relay.parse().unwrap();
            let server = server.map(|server| server.parse().unwrap());
            assert_eq!(url.dns(), (server, origin), "{relay}");
        }
    }

    #[test]
    fn the_relay_of_a_node_is_under_pkarr() {
        let address: SocketAddr = "127.0.0.1:8081".parse().unwrap();
        assert_eq!(
            RelayUrl::from(address).to_string(),
            "http://127.0.0.1:8081/pkarr"
        );
    }
}
