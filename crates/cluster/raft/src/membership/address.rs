//! Addresses of nodes: `host:port`.

use quorate_state::ADDRESS_SIZE_MAX;

/// Whether other nodes can dial `address`: a host name or an IP address, and a port. An unspecified
/// address such as `0.0.0.0` means any address of the own machine, so others cannot dial it.
pub fn is_dialable(address: &str) -> bool {
    let Some((host, port)) = address.rsplit_once(':') else {
        return false;
    };
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit())
        && port.parse::<u16>().is_ok_and(|port| port != 0);
    address.len() <= ADDRESS_SIZE_MAX && is_port && is_host(host)
}

fn is_host(host: &str) -> bool {
    if let Some(bracketed) = host.strip_prefix('[') {
        let address = bracketed
            .strip_suffix(']')
            .map(str::parse::<std::net::Ipv6Addr>);
        return address.is_some_and(|address| address.is_ok_and(|ip| !ip.is_unspecified()));
    }
    match host.parse::<std::net::Ipv4Addr>() {
        Ok(ip) => !ip.is_unspecified(),
        // An IPv6 address needs brackets, and a name has none.
        Err(_) => {
            let is_valid = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            !host.is_empty() && host.chars().all(is_valid)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_with_a_port_can_be_dialed() {
        for address in [
            "node1.example.org:7700",
            "node1:7700",
            "192.0.2.1:1",
            "[2001:db8::1]:65535",
        ] {
            assert!(is_dialable(address), "{address}");
        }
    }

    #[test]
    fn an_address_that_others_cannot_dial_is_rejected() {
        for address in [
            "",
            "node1",
            ":7700",
            "node1:",
            "node1:0",
            "node1:65536",
            "node1:+7",
            "0.0.0.0:7700",
            "[::]:7700",
            "2001:db8::1:7700",
            "[2001:db8::1:7700",
            "https://node1:7700",
            "no de:7700",
            "(none):7700",
        ] {
            assert!(!is_dialable(address), "{address}");
        }
        assert!(!is_dialable(&format!("{}:7700", "a".repeat(300))));
    }
}
