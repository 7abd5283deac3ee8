//! What came of laying values over settings.

use serde::de::DeserializeOwned;
use toml::Value;

use crate::{KeyPath, Setting};

/// What was set, and what was refused. One mistake does not hide the next: each has its own key.
#[derive(Debug, Default)]
pub struct Merged {
    /// Every setting that got a value, and what stands in it.
    pub set: Vec<KeyPath>,
    /// What was left out, and why.
    pub refused: Vec<(KeyPath, String)>,
}

impl Merged {
    /// Reads `value`, or refuses it in serde's words.
    pub fn read<T: DeserializeOwned>(&mut self, value: &Value, at: &KeyPath) -> Option<T> {
        match value.clone().try_into() {
            Ok(read) => Some(read),
            Err(error) => {
                self.refuse(at, error.message());
                None
            }
        }
    }

    /// Refuses what stands at `at` because its key is none of `known`.
    pub fn refuse_key(&mut self, key: &str, at: &KeyPath, known: &[Setting]) {
        let known: Vec<_> = known.iter().map(|it| format!("`{}`", it.key)).collect();
        let known = known.join(", ");
        self.refuse(
            at,
            format!("unknown field `{key}`, expected one of {known}"),
        );
    }

    /// Refuses what stands at `at`.
    pub fn refuse(&mut self, at: &KeyPath, reason: impl Into<String>) {
        self.refused.push((at.clone(), reason.into()));
    }
}
