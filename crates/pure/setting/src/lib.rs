//! Declares the settings of a program, each once: key, default, bounds, and help text.
//!
//! A crate declares its settings as one struct. From that declaration a program can read them from
//! several sources, report everything that is wrong with them, and document them.
//!
//! ```
//! use quorate_setting::{Findings, SettingValue, KeyPath, Merged};
//!
//! quorate_setting::settings! {
//!     /// How long packets are kept.
//!     pub struct PacketSettings {
//!         /// How long after it was last received a packet is kept.
//!         retention_secs: u64 = 604_800, in 1..=31_622_400, "last year's packets help nobody";
//!     }
//! }
//!
//! let mut settings = PacketSettings::default();
//! let mut merged = Merged::default();
//! let file = toml::toml! { retention_secs = 0 };
//! settings.merge(&toml::Value::Table(file), &KeyPath::from("packets"), &mut merged);
//! let mut findings = Findings::default();
//! settings.check(&KeyPath::from("packets"), &mut findings);
//! assert_eq!(
//!     findings.errors[0].reason,
//!     "0 is not between 1 and 31622400: last year's packets help nobody"
//! );
//! ```
//!
//! The crate reads no file and no environment: it turns TOML values into settings and findings.
//!
//! | piece | what it is |
//! |---|---|
//! | [`settings!`] | declares a struct of settings |
//! | [`SettingValue`] | the type of a setting: a value, a list, a map, or another struct of settings |
//! | [`Merged`], [`quoted()`] | the result of merging values into settings: what was set, and what was rejected, with the value |
//! | [`Findings`] | errors and warnings about settings that could be read |
//! | [`Setting`] | the description of a setting, for documentation |
//! | [`KeyPath`] | the place of a setting in the configuration |

mod declaration;
mod finding;
mod key_path;
mod merged;
mod setting;
mod setting_value;

pub use finding::{Finding, Findings};
pub use key_path::KeyPath;
pub use merged::{Merged, quoted};
pub use setting::Setting;
pub use setting_value::SettingValue;
/// Settings are read from these and shown as these.
pub use toml::{Table, Value};

#[cfg(test)]
#[path = "setting_tests.rs"]
mod tests;
