//! The setting for the addresses of a listener.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    ops::Deref,
};

use quorate_setting::{Findings, KeyPath, Merged, SettingValue, Value, quoted};

/// Addresses to listen on, none by default: a list or a single one. An unspecified address covers only its family.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListenAddresses(Vec<SocketAddr>);

impl ListenAddresses {
    /// Every address of the machine, of both families.
    pub fn everywhere(port: u16) -> Self {
        Self::both(Ipv4Addr::UNSPECIFIED, Ipv6Addr::UNSPECIFIED, port)
    }

    /// The loopback addresses of both families.
    pub fn loopback(port: u16) -> Self {
        Self::both(Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST, port)
    }

    /// Reports an empty list, for a listener that is always needed. `at` is its key.
    pub fn check_not_empty(&self, at: KeyPath, findings: &mut Findings) {
        if self.is_empty() {
            findings.error(at, "it is empty: list at least one address");
        }
    }

    fn both(ipv4: Ipv4Addr, ipv6: Ipv6Addr, port: u16) -> Self {
        Self(vec![(ipv4, port).into(), (ipv6, port).into()])
    }

    /// Whether the server may start without `address`, because some machines have no IPv6: it is
    /// `[::]` or `[::1]`, and the same address of IPv4 is in the list too, as in the defaults.
    pub fn is_optional(&self, address: SocketAddr) -> bool {
        let ipv4 = match address.ip() {
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv4Addr::UNSPECIFIED,
            IpAddr::V6(Ipv6Addr::LOCALHOST) => Ipv4Addr::LOCALHOST,
            _ => return false,
        };
        self.contains(&(ipv4, address.port()).into())
    }
}

impl From<Vec<SocketAddr>> for ListenAddresses {
    fn from(addresses: Vec<SocketAddr>) -> Self {
        Self(addresses)
    }
}

impl Deref for ListenAddresses {
    type Target = [SocketAddr];

    fn deref(&self) -> &[SocketAddr] {
        &self.0
    }
}

/// The addresses with commas between them.
impl fmt::Display for ListenAddresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, address) in self.iter().enumerate() {
            let separator = if at == 0 { "" } else { ", " };
            write!(f, "{separator}{address}")?;
        }
        Ok(())
    }
}

impl SettingValue for ListenAddresses {
    fn read(value: &Value, at: &KeyPath, merged: &mut Merged) -> Option<Self> {
        match value {
            Value::String(_) => {
                SettingValue::read(value, at, merged).map(|address| Self(vec![address]))
            }
            Value::Array(_) => SettingValue::read(value, at, merged).map(Self),
            _ => {
                let reason = format!(
                    "{} is neither an address, such as \"127.0.0.1:8080\", nor a list of them",
                    quoted(value)
                );
                merged.reject(at, reason);
                None
            }
        }
    }

    fn value(&self) -> Value {
        self.0.value()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Option<ListenAddresses>, Vec<(KeyPath, String)>) {
        let table: quorate_setting::Table = format!("listen = {text}").parse().unwrap();
        let mut merged = Merged::default();
        let read = SettingValue::read(&table["listen"], &"dns.listen".into(), &mut merged);
        (read, merged.rejected)
    }

    #[test]
    fn one_address_is_a_list_of_one() {
        let (one, _) = read("\"127.0.0.1:53\"");
        assert_eq!(one.unwrap().0, [([127, 0, 0, 1], 53).into()]);
        let (list, _) = read("[\"127.0.0.1:53\", \"[::1]:53\"]");
        let list = list.unwrap();
        assert_eq!(list.len(), 2);
        assert_eq!(list.value().to_string(), "[\"127.0.0.1:53\", \"[::1]:53\"]");
    }

    #[test]
    fn an_invalid_address_is_reported_with_its_key() {
        for (text, key) in [
            ("\"localhost:53\"", "dns.listen"),
            ("5300", "dns.listen"),
            ("[\"127.0.0.1:53\", \"::1\"]", "dns.listen[1]"),
        ] {
            let (read, rejected) = read(text);
            assert_eq!(read, None);
            assert_eq!(rejected.len(), 1);
            assert_eq!(rejected[0].0.to_string(), key);
        }
    }

    #[test]
    fn ipv6_is_optional_only_beside_the_same_address_of_ipv4() {
        for (addresses, optional) in [
            (ListenAddresses::everywhere(53), [false, true]),
            (ListenAddresses::loopback(53), [false, true]),
        ] {
            assert_eq!(
                [0, 1].map(|at| addresses.is_optional(addresses[at])),
                optional
            );
            let only_ipv6 = ListenAddresses(vec![addresses[1]]);
            assert!(!only_ipv6.is_optional(addresses[1]));
        }
        let others = ["0.0.0.0:54", "[::]:53", "[2001:db8::1]:54"];
        let others = ListenAddresses(others.map(|text| text.parse().unwrap()).to_vec());
        assert!(others.iter().all(|address| !others.is_optional(*address)));
    }
}
