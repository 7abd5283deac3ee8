//! What is known of a setting.

use toml::Value;

/// What is known of a setting.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Its name in its table.
    pub key: &'static str,
    /// What it means, a line of text each.
    pub help: &'static str,
    /// The least and the most it may be.
    pub bounds: Option<String>,
    /// What it is when nobody sets it.
    pub default: Value,
    /// The settings in it, if it is a table or a list of tables.
    pub inner: Vec<Setting>,
}
