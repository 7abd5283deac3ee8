//! The result of merging values into settings.

use serde::de::DeserializeOwned;
use toml::Value;

use crate::{KeyPath, Setting};

/// Which values were set and which were rejected. Each mistake is listed with its own key, so that
/// one does not hide the next.
#[derive(Debug, Default)]
pub struct Merged {
    /// Every setting that got a value, and every setting inside it that did.
    pub set: Vec<KeyPath>,
    /// The values that were rejected, and why.
    pub rejected: Vec<(KeyPath, String)>,
}

impl Merged {
    /// Reads `value`. If that fails, records it as rejected with serde's message and returns
    /// `None`.
    pub fn read<T: DeserializeOwned>(&mut self, value: &Value, at: &KeyPath) -> Option<T> {
        match value.clone().try_into() {
            Ok(read) => Some(read),
            Err(error) => {
                self.reject(at, error.message());
                None
            }
        }
    }

    /// Reads `value`, which should be what `expected` says. If it is not, records that with the
    /// value and returns `None`.
    pub fn read_as<T: DeserializeOwned>(
        &mut self,
        value: &Value,
        at: &KeyPath,
        expected: &str,
    ) -> Option<T> {
        let read = value.clone().try_into();
        if read.is_err() {
            self.reject(at, format!("{} is not {expected}", quoted(value)));
        }
        read.ok()
    }

    /// Rejects the value at `at` because its key is not one of `known`.
    pub fn reject_unknown_key(&mut self, key: &str, at: &KeyPath, known: &[Setting]) {
        let known: Vec<_> = known.iter().map(|it| format!("`{}`", it.key)).collect();
        let known = known.join(", ");
        self.reject(
            at,
            format!("unknown field `{key}`, expected one of {known}"),
        );
    }

    /// Rejects the value at `at`.
    pub fn reject(&mut self, at: &KeyPath, reason: impl Into<String>) {
        self.rejected.push((at.clone(), reason.into()));
    }
}

/// A value in an error.
pub fn quoted(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text:?}"),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Boolean(is_true) => is_true.to_string(),
        Value::Datetime(time) => time.to_string(),
        Value::Array(_) => "a list".to_owned(),
        Value::Table(_) => "a table".to_owned(),
    }
}
