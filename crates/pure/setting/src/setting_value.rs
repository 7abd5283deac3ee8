//! The types that a setting can have.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
};

use toml::{Table, Value};

use crate::{Findings, KeyPath, Merged, Setting};

/// A value, a list, a map, or a struct of settings.
pub trait SettingValue: Sized {
    /// Reads `value`, which is at `at`. If it is invalid, records why in `merged` and returns
    /// `None`.
    fn read(value: &Value, at: &KeyPath, merged: &mut Merged) -> Option<Self>;

    /// This value in TOML.
    fn value(&self) -> Value;

    /// Replaces this by `value`. If `value` is invalid, this stays as it was.
    fn merge(&mut self, value: &Value, at: &KeyPath, merged: &mut Merged) {
        if let Some(read) = Self::read(value, at, merged) {
            *self = read;
            merged.set.push(at.clone());
        }
    }

    /// Reports values that are out of their bounds.
    fn check(&self, _at: &KeyPath, _findings: &mut Findings) {}

    /// The settings inside this type; for a list, those of each element.
    fn declared() -> Vec<Setting> {
        Vec::new()
    }
}

/// Implements [`SettingValue`] for types that serde can read and write. The text after a type says
/// what is expected, for the errors.
#[macro_export]
macro_rules! impl_setting_value {
    ($($type:ty => $expected:literal),* $(,)?) => {$(
        impl $crate::SettingValue for $type {
            fn read(
                value: &$crate::Value,
                at: &$crate::KeyPath,
                merged: &mut $crate::Merged,
            ) -> Option<Self> {
                merged.read_as(value, at, $expected)
            }

            fn value(&self) -> $crate::Value {
                $crate::Value::try_from(self).expect("every setting can be written as TOML")
            }
        }
    )*};
}

impl_setting_value!(
    bool => "true or false",
    u32 => "a whole number",
    u64 => "a whole number",
    usize => "a whole number",
    String => "a text in quotes",
    PathBuf => "a path in quotes",
    SocketAddr => "an IP address and a port, such as \"127.0.0.1:8080\" or \"[::1]:8080\"",
    IpAddr => "an IP address, such as \"192.0.2.1\" or \"2001:db8::1\"",
    Ipv4Addr => "an IPv4 address, such as \"192.0.2.1\"",
    Ipv6Addr => "an IPv6 address, such as \"2001:db8::1\"",
);

/// A list with one invalid element is rejected completely, so that the other elements keep their
/// indexes.
impl<T: SettingValue> SettingValue for Vec<T> {
    fn read(value: &Value, at: &KeyPath, merged: &mut Merged) -> Option<Self> {
        let elements: Vec<Value> = merged.read(value, at)?;
        let elements = elements.iter().enumerate();
        let elements: Vec<_> = elements
            .map(|(index, element)| T::read(element, &at.index(index), merged))
            .collect();
        elements.into_iter().collect()
    }

    fn value(&self) -> Value {
        self.iter()
            .map(SettingValue::value)
            .collect::<Vec<_>>()
            .into()
    }

    fn check(&self, at: &KeyPath, findings: &mut Findings) {
        for (index, element) in self.iter().enumerate() {
            element.check(&at.index(index), findings);
        }
    }

    fn declared() -> Vec<Setting> {
        T::declared()
    }
}

impl<T: SettingValue> SettingValue for BTreeMap<String, T> {
    fn read(value: &Value, at: &KeyPath, merged: &mut Merged) -> Option<Self> {
        let pairs: Table = merged.read(value, at)?;
        let pairs: Vec<_> = pairs
            .into_iter()
            .map(|(key, value)| {
                let read = T::read(&value, &at.key(&key), merged)?;
                Some((key, read))
            })
            .collect();
        pairs.into_iter().collect()
    }

    fn value(&self) -> Value {
        let pairs = self.iter().map(|(key, value)| (key.clone(), value.value()));
        Value::Table(pairs.collect())
    }
}
