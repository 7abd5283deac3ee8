//! Settings, each declared once: key, default, bounds, and what it means.
//!
//! A room declares its settings as one struct. What a program needs to read them from several
//! places, to say everything that is wrong with them, and to document them, follows from that.
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
//!     "0 is not from 1 to 31622400: last year's packets help nobody"
//! );
//! ```
//!
//! It reads no file and no environment: TOML's values come in, settings and findings go out.
//!
//! | piece | what it is |
//! |---|---|
//! | [`settings!`] | declares a struct of settings |
//! | [`SettingValue`] | what a setting can be: a value, a list, a map, or settings again |
//! | [`Merged`] | what came of laying values over settings: what was set, and what was refused |
//! | [`Findings`] | what is wrong or doubtful of settings that can be read |
//! | [`Setting`] | what is known of a setting: for documentation |
//! | [`KeyPath`] | where a setting stands |

mod declaration;
mod finding;
mod key_path;
mod merged;
mod setting;
mod setting_value;

pub use finding::{Finding, Findings};
pub use key_path::KeyPath;
pub use merged::Merged;
pub use setting::Setting;
pub use setting_value::SettingValue;
/// What settings are read from and shown as.
pub use toml::{Table, Value};

#[cfg(test)]
#[path = "setting_tests.rs"]
mod tests;
