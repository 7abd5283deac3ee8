//! What a setting can be.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
};

use toml::{Table, Value};

use crate::{Findings, KeyPath, Laid, Setting};

/// A value, a list, a map, or a struct of settings.
pub trait Form: Sized {
    /// Reads `value`, which stands at `at`. What is wrong with it, `laid` gets to know.
    fn read(value: &Value, at: &KeyPath, laid: &mut Laid) -> Option<Self>;

    /// The value as TOML has it.
    fn value(&self) -> Value;

    /// Lays `value` over this. What cannot be read stays as it was.
    fn lay(&mut self, value: &Value, at: &KeyPath, laid: &mut Laid) {
        if let Some(read) = Self::read(value, at, laid) {
            *self = read;
            laid.set.push(at.clone());
        }
    }

    /// Finds what is out of its bounds.
    fn check(&self, _at: &KeyPath, _findings: &mut Findings) {}

    /// The settings in it; of a list, those in each element.
    fn declared() -> Vec<Setting> {
        Vec::new()
    }
}

/// Makes types that serde knows values of settings.
#[macro_export]
macro_rules! plain {
    ($($type:ty),* $(,)?) => {$(
        impl $crate::Form for $type {
            fn read(
                value: &$crate::Value,
                at: &$crate::KeyPath,
                laid: &mut $crate::Laid,
            ) -> Option<Self> {
                laid.read(value, at)
            }

            fn value(&self) -> $crate::Value {
                $crate::Value::try_from(self).expect("a setting has a TOML form")
            }
        }
    )*};
}

plain!(
    bool, u32, u64, usize, String, PathBuf, SocketAddr, IpAddr, Ipv4Addr, Ipv6Addr
);

/// Taken whole or not at all, so that no element moves to the place of another.
impl<T: Form> Form for Vec<T> {
    fn read(value: &Value, at: &KeyPath, laid: &mut Laid) -> Option<Self> {
        let elements: Vec<Value> = laid.read(value, at)?;
        let elements = elements.iter().enumerate();
        let elements: Vec<_> = elements
            .map(|(index, element)| T::read(element, &at.index(index), laid))
            .collect();
        elements.into_iter().collect()
    }

    fn value(&self) -> Value {
        self.iter().map(Form::value).collect::<Vec<_>>().into()
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

impl<T: Form> Form for BTreeMap<String, T> {
    fn read(value: &Value, at: &KeyPath, laid: &mut Laid) -> Option<Self> {
        let pairs: Table = laid.read(value, at)?;
        let pairs: Vec<_> = pairs
            .into_iter()
            .map(|(key, value)| {
                let read = T::read(&value, &at.key(&key), laid)?;
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
