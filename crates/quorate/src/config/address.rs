//! The addresses of nodes.

use std::{
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

/// The longest DNS name, in characters (RFC 1035, section 2.3.4).
const HOST_LEN_MAX: usize = 253;

/// Checks `host:port`.
pub(crate) fn check_address(address: &str) -> Result<(), AddressError> {
    let wrong = |reason| AddressError {
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

/// Why a text is no address that can be dialled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{address:?} is no address: {reason}")]
pub(crate) struct AddressError {
    address: String,
    reason: &'static str,
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
        for (address, reason) in [
            ("a", "it has no port"),
            ("a:0", "not a number from 1 to 65535"),
            (":1", "the host is no name"),
            ("a b:1", "the host is no name"),
            ("::1:1", "the host is no name"),
            ("[::g]:1", "no IPv6 address"),
        ] {
            let error = check_address(address).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
        assert!(!is_unspecified("127.0.0.1:1") && !is_unspecified("node1:1"));
    }
}
