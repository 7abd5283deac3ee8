//! A node as a list of nodes names it, and what its address says.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

use quorate_packet::{InvalidKeyError, KeyError, PublicKey};
use quorate_setting::{Form, KeyPath, Laid, Value};

/// The longest DNS name, in characters (RFC 1035, section 2.3.4).
const HOST_LEN_MAX: usize = 253;

/// The key of a node and where its peers reach it: `<z32>@host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NodeAddress {
    /// Its identity, checked at every connection.
    pub(crate) key: PublicKey,
    /// Host name, IPv4 address or IPv6 address in brackets, then a colon and the port. Names are
    /// resolved ahead of dials, and again when they may have changed.
    pub(crate) address: String,
}

impl Form for NodeAddress {
    fn read(value: &Value, at: &KeyPath, laid: &mut Laid) -> Option<Self> {
        let read = laid.read::<String>(value, at)?.parse();
        read.map_err(|error: NodeAddressError| laid.refuse(at, error.to_string()))
            .ok()
    }

    fn value(&self) -> Value {
        self.to_string().into()
    }
}

impl FromStr for NodeAddress {
    type Err = NodeAddressError;

    fn from_str(s: &str) -> Result<Self, NodeAddressError> {
        let (key, address) = s.split_once('@').ok_or(NodeAddressError::NoAt)?;
        let key: PublicKey = key.parse()?;
        // A typing error gives some key, but half of all are no point on the curve.
        key.validate()?;
        check_address(address)?;
        Ok(Self {
            key,
            address: address.to_ascii_lowercase(),
        })
    }
}

/// Checks `host:port`.
pub(crate) fn check_address(address: &str) -> Result<(), NodeAddressError> {
    let wrong = |reason| NodeAddressError::Address {
        address: address.to_owned(),
        reason,
    };
    let (host, port) = address
        .rsplit_once(':')
        .ok_or_else(|| wrong("it has no port: write host:port"))?;
    if !matches!(port.parse::<u16>(), Ok(1..)) {
        return Err(wrong("the port is not a number from 1 to 65535"));
    }
    if let Some(bracketed) = host.strip_prefix('[') {
        let v6 = bracketed.strip_suffix(']').map(Ipv6Addr::from_str);
        return match v6 {
            Some(Ok(_)) => Ok(()),
            _ => Err(wrong("what stands in brackets is no IPv6 address")),
        };
    }
    let label_fits = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    let host_fits = host.len() <= HOST_LEN_MAX
        && host
            .strip_suffix('.')
            .unwrap_or(host)
            .split('.')
            .all(label_fits);
    match host_fits {
        true => Ok(()),
        false => Err(wrong("the host is no name, IPv4 address or [IPv6 address]")),
    }
}

/// Whether only this machine reaches `address`, a `host:port`.
pub(crate) fn is_loopback(address: &str) -> bool {
    let host = host(address);
    let ip = host.parse::<IpAddr>();
    ip.map_or(host == "localhost", |ip| ip.to_canonical().is_loopback())
}

/// Whether `address`, a `host:port`, names no machine.
pub(crate) fn is_unspecified(address: &str) -> bool {
    let ip = host(address).parse::<IpAddr>();
    ip.is_ok_and(|ip| ip.to_canonical().is_unspecified())
}

/// The host, without the brackets of IPv6.
fn host(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

impl fmt::Display for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.key, self.address)
    }
}

/// Why a string names no node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NodeAddressError {
    /// Key and address are not told apart.
    #[error("a node is written <key>@host:port, as `quorate init` prints it; this has no @")]
    NoAt,
    /// The key cannot be read.
    #[error("{0}")]
    Key(#[from] KeyError),
    /// No node can own this key.
    #[error("{0}; is it mistyped?")]
    Invalid(#[from] InvalidKeyError),
    /// The address cannot be dialled.
    #[error("{address:?} is no address: {reason}")]
    Address {
        address: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_others_cannot_use_are_known() {
        for loopback in [
            "127.0.0.1:1",
            "[::1]:1",
            "localhost:1",
            "[::ffff:127.0.0.1]:1",
        ] {
            assert!(is_loopback(loopback), "{loopback}");
        }
        for other in ["10.0.0.1:1", "[2001:db8::1]:1", "node1:1", "0.0.0.0:1"] {
            assert!(!is_loopback(other), "{other}");
        }
        assert!(is_unspecified("0.0.0.0:1") && is_unspecified("[::]:1"));
        assert!(!is_unspecified("127.0.0.1:1") && !is_unspecified("node1:1"));
    }
}
