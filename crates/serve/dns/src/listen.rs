//! The setting for the addresses where DNS listens.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    ops::Deref,
};

use quorate_setting::{KeyPath, Merged, SettingValue, Value};

/// The default port. Port 53, the standard port of DNS, needs a privilege.
const PORT: u16 = 5300;

/// Addresses to listen on: a list or a single one. An unspecified address covers only its family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenAddresses(Vec<SocketAddr>);

impl ListenAddresses {
    /// Whether the server may start without `address`: the default includes IPv6, and some machines
    /// have no IPv6.
    pub(crate) fn is_optional(&self, address: SocketAddr) -> bool {
        address.is_ipv6() && *self == Self::default()
    }
}

/// Every address of the machine.
impl Default for ListenAddresses {
    fn default() -> Self {
        Self(vec![
            (Ipv4Addr::UNSPECIFIED, PORT).into(),
            (Ipv6Addr::UNSPECIFIED, PORT).into(),
        ])
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

impl SettingValue for ListenAddresses {
    fn read(value: &Value, at: &KeyPath, merged: &mut Merged) -> Option<Self> {
        match value {
            Value::String(_) => {
                SettingValue::read(value, at, merged).map(|address| Self(vec![address]))
            }
            _ => SettingValue::read(value, at, merged).map(Self),
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
    fn only_the_default_address_of_ipv6_is_optional() {
        let default = ListenAddresses::default();
        assert_eq!(
            default
                .iter()
                .map(|address| default.is_optional(*address))
                .collect::<Vec<_>>(),
            [false, true]
        );
        let configured = ListenAddresses(vec![default[1]]);
        assert!(!configured.is_optional(default[1]));
    }
}
