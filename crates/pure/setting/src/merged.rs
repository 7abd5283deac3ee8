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
