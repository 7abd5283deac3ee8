//! The description of a setting.

use toml::Value;

/// The description of a setting, from which reference documentation is generated.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Its name in its table.
    pub key: &'static str,
    /// What it means, in one or more lines of text.
    pub help: &'static str,
    /// The smallest and the largest allowed value, as text.
    pub bounds: Option<String>,
    /// Its value if nobody sets it.
    pub default: Value,
    /// The settings in it, if it is a table or a list of tables.
    pub inner: Vec<Setting>,
}
