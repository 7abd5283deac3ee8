//! The command-line client: what one can ask of relays and DNS servers, ours or others'.
//!
//! It speaks public protocols only and knows nothing of consensus or storage, so that the crates of
//! the server link no HTTP client. Its errors are sentences for the terminal: `anyhow` carries them.
//!
//! | piece | what it is |
//! |---|---|
//! | [`PublishArgs`], [`publish()`] | signs records and publishes them through a relay |
//! | [`ResolveArgs`], [`resolve()`] | looks up what a key has published, at a relay or by DNS |
//! | [`RelayUrl`] | where a relay has its packets |
//! | [`open_key_file`] | a publisher's secret key, made if there is none |
//! | [`install_tls_provider`] | what every HTTP client of the process needs first |
//! | [`out!`], [`outln!`] | what goes to standard output |

mod dns;
mod key_file;
mod output;
mod publish;
mod record;
mod relay;
mod relay_url;
mod resolve;

pub use key_file::open as open_key_file;
pub use publish::{PublishArgs, publish};
pub use relay::install_tls_provider;
pub use relay_url::RelayUrl;
pub use resolve::{ResolveArgs, resolve};

/// The origin of `quorate dev`.
pub const DEV_ORIGIN: &str = "quorate.test";
