//! The address at which other nodes reach this one.

use std::net::SocketAddr;

use anyhow::ensure;
use quorate_raft::is_dialable;

/// The address of a node that listens on `bound`: the configured one, otherwise the listen address,
/// otherwise this machine's name. Never the unspecified address, which means a different machine to each
/// node.
pub(crate) fn advertised(configured: &str, bound: SocketAddr) -> anyhow::Result<String> {
    if !configured.is_empty() {
        return Ok(configured.to_ascii_lowercase());
    }
    if !bound.ip().is_unspecified() {
        return Ok(bound.to_string());
    }
    let name = rustix::system::uname();
    of_host(&name.nodename().to_string_lossy(), bound.port())
}

fn of_host(name: &str, port: u16) -> anyhow::Result<String> {
    let address = format!("{name}:{port}").to_ascii_lowercase();
    ensure!(
        is_dialable(&address),
        "the name of this machine, {name:?}, is not an address at which other nodes can reach it: set peer.advertise to its host:port"
    );
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(configured: &str, bound: &str) -> String {
        advertised(configured, bound.parse().unwrap()).unwrap()
    }

    #[test]
    fn the_configured_address_comes_before_the_listen_address() {
        let one = "10.0.0.1:7700";
        assert_eq!(of("Node1.example.org:7701", one), "node1.example.org:7701");
        assert_eq!(of("", one), one);
        assert_eq!(of("", "[2001:db8::1]:7700"), "[2001:db8::1]:7700");
        assert_eq!(of("", "127.0.0.1:7700"), "127.0.0.1:7700");
    }

    #[test]
    fn a_node_on_all_addresses_advertises_its_host_name() {
        for everywhere in ["0.0.0.0:7700", "[::]:7700"] {
            match advertised("", everywhere.parse().unwrap()) {
                Ok(address) => {
                    assert!(address.ends_with(":7700"), "{address}");
                    assert!(is_dialable(&address), "{address}");
                }
                Err(error) => assert!(error.to_string().contains("peer.advertise")),
            }
        }
        assert_eq!(of_host("Node1", 7700).unwrap(), "node1:7700");
        let error = of_host("(none)", 7700).unwrap_err().to_string();
        assert!(error.contains("peer.advertise"), "{error}");
    }
}
