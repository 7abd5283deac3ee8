//! A list of networks in the configuration.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use quorate_setting::{KeyPath, Merged, SettingValue, Value};

/// The number of bits before the IPv4 address in an IPv4-mapped IPv6 address.
const MAPPED_PREFIX_LEN: u8 = 96;

/// A list of networks, compared with addresses in their canonical form: an IPv4-mapped address is
/// the IPv4 address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

/// A text that is neither an address nor a prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither an IP address nor a prefix such as 10.0.0.0/8")]
pub struct NetworkError(String);

impl Networks {
    /// Parses addresses (`192.0.2.1`, `2001:db8::1`) and prefixes (`10.0.0.0/8`).
    pub fn parse<S: AsRef<str>>(
        networks: impl IntoIterator<Item = S>,
    ) -> Result<Self, NetworkError> {
        let networks = networks.into_iter().map(|net| parse_net(net.as_ref()));
        Ok(Self(networks.collect::<Result<_, _>>()?))
    }

    /// Whether the address is in one of them.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|net| net.contains(&address))
    }

    /// Whether none is listed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The address family that the networks cover completely, if any.
    pub fn covered_family(&self) -> Option<&'static str> {
        let ipv4 = IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0));
        let ipv6 = IpNet::V6(GLOBAL_UNICAST);
        let merged = IpNet::aggregate(&self.0);
        [(ipv4, "IPv4"), (ipv6, "IPv6")]
            .into_iter()
            .find(|(family, _)| merged.iter().any(|net| net.contains(family)))
            .map(|(_, name)| name)
    }
}

/// A list with one invalid network is rejected completely.
impl SettingValue for Networks {
    fn read(value: &Value, at: &KeyPath, merged: &mut Merged) -> Option<Self> {
        let texts: Vec<String> = merged.read(value, at)?;
        for (index, text) in texts.iter().enumerate() {
            if let Err(error) = parse_net(text) {
                merged.reject(&at.index(index), error.to_string());
            }
        }
        Self::parse(texts).ok()
    }

    fn value(&self) -> Value {
        let text = |net: &IpNet| match net.prefix_len() == net.max_prefix_len() {
            true => net.addr().to_string(),
            false => net.to_string(),
        };
        self.0.iter().map(text).collect::<Vec<_>>().into()
    }
}

/// The network of all IPv6 addresses that the Internet routes (RFC 4291, section 2.4, and IANA's
/// registry).
const GLOBAL_UNICAST: Ipv6Net =
    Ipv6Net::new_assert(std::net::Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

fn parse_net(network: &str) -> Result<IpNet, NetworkError> {
    let net = match network.parse::<IpAddr>() {
        Ok(address) => Some(IpNet::from(address)),
        Err(_) => network.parse().ok(),
    };
    net.map(canonical)
        .ok_or_else(|| NetworkError(network.to_owned()))
}

/// Addresses are compared in their canonical form, so prefixes must have it too.
fn canonical(net: IpNet) -> IpNet {
    match (net.addr().to_canonical(), net.prefix_len()) {
        (IpAddr::V4(address), len @ MAPPED_PREFIX_LEN..) if net.addr().is_ipv6() => {
            Ipv4Net::new_assert(address, len - MAPPED_PREFIX_LEN).into()
        }
        _ => net,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(networks: &[&str], address: &str) -> bool {
        let networks = Networks::parse(networks).unwrap();
        networks.contains(address.parse().unwrap())
    }

    #[test]
    fn mapped_addresses_and_mapped_networks_match() {
        for networks in [["10.0.0.0/8"], ["::ffff:10.0.0.0/104"]] {
            for address in ["10.1.2.3", "::ffff:10.1.2.3"] {
                assert!(contains(&networks, address), "{networks:?} {address}");
            }
            assert!(!contains(&networks, "11.0.0.0"));
            assert!(!contains(&networks, "a00::"));
        }
        assert!(contains(&["192.0.2.1", "2001:db8::/32"], "2001:db8::1"));
        assert!(!contains(&["192.0.2.1", "2001:db8::/32"], "192.0.2.2"));
    }

    #[test]
    fn an_invalid_network_is_quoted_in_the_error() {
        for network in ["", "10.0.0.0/33", "proxy.example.org", "10.0.0", "::/129"] {
            let error = Networks::parse(["10.0.0.1", network]).unwrap_err();
            assert_eq!(error, NetworkError(network.to_owned()));
        }
    }

    #[test]
    fn networks_that_cover_a_family_are_recognized_in_any_notation() {
        for (networks, family) in [
            (&["10.0.0.0/8", "0.0.0.0/0"][..], Some("IPv4")),
            (&["128.0.0.0/1", "0.0.0.0/1"], Some("IPv4")),
            (&["::ffff:0.0.0.0/96"], Some("IPv4")),
            (&["::/0"], Some("IPv6")),
            (&["2000::/4", "3000::/4"], Some("IPv6")),
            (&["10.0.0.1", "::/1", "8000::/1"], Some("IPv6")),
            (&["0.0.0.0/1", "2000::/4", "fc00::/7"], None),
            (&[], None),
        ] {
            let whole = Networks::parse(networks).unwrap().covered_family();
            assert_eq!(whole, family, "{networks:?}");
        }
    }

    #[test]
    fn each_invalid_network_is_reported_with_its_index() {
        let read = |texts: &[&str]| {
            let mut merged = Merged::default();
            let value = Value::from(texts.to_vec());
            let networks = Networks::read(&value, &"exempt".into(), &mut merged);
            (networks, merged.rejected)
        };
        let (networks, rejected) = read(&["a", "10.0.0.0/8", "b"]);
        assert_eq!(networks, None);
        let keys: Vec<_> = rejected.iter().map(|(key, _)| key.to_string()).collect();
        assert_eq!(keys, ["exempt[0]", "exempt[2]"]);
        assert!(rejected[1].1.starts_with("`b` is neither"), "{rejected:?}");

        let texts = ["10.0.0.0/8", "192.0.2.1", "2001:db8::/32"];
        let (networks, rejected) = read(&texts);
        assert_eq!(networks.unwrap().value(), Value::from(texts.to_vec()));
        assert!(rejected.is_empty(), "{rejected:?}");
    }
}
