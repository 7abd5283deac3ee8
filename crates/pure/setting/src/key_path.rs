//! The name of a setting.

use std::fmt;

/// The place of a value in the configuration, as TOML writes it: `dns.origins[0].name`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyPath(String);

impl KeyPath {
    /// The path of the value at `key` in the table at this path.
    pub fn key(&self, key: &str) -> Self {
        let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let key = match !key.is_empty() && key.chars().all(bare) {
            true => key.to_owned(),
            false => format!("{key:?}"),
        };
        match self.0.is_empty() {
            true => Self(key),
            false => Self(format!("{self}.{key}")),
        }
    }

    /// The path of the element at `index` of the array at this path.
    pub fn index(&self, index: usize) -> Self {
        Self(format!("{self}[{index}]"))
    }

    /// Whether `self` names a value inside the one that `outer` names.
    pub fn is_inside(&self, outer: &Self) -> bool {
        self.0
            .strip_prefix(&outer.0)
            .is_some_and(|rest| rest.starts_with(['.', '[']))
    }

    /// The first two keys, `section.key`, without the rest of the path.
    pub fn section_and_key(&self) -> &str {
        let bracket = self.0.find('[').unwrap_or(self.0.len());
        let second_dot = self.0.match_indices('.').nth(1);
        let second_dot = second_dot.map_or(self.0.len(), |(at, _)| at);
        &self.0[..bracket.min(second_dot)]
    }
}

/// A path written by hand: keys without quotes, separated by dots.
impl From<&str> for KeyPath {
    fn from(path: &str) -> Self {
        Self(path.to_owned())
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
