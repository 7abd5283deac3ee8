//! The command-line client: what one can ask of relays and DNS servers, ours or others', and of the
//! nodes that one operates.
//!
//! It speaks public protocols and the admin API only and knows nothing of consensus or storage, so
//! that the crates of the server link no HTTP client. Its errors are sentences for the terminal:
//! `anyhow` carries them. Data go to standard output, everything else to standard error.
//!
//! | piece | what it is |
//! |---|---|
//! | [`PublishArgs`], [`publish()`] | signs records and publishes them through a relay |
//! | [`ResolveArgs`], [`resolve()`] | looks up what a key has published, at a relay or by DNS |
//! | [`StatusArgs`], [`status()`] | how a node is |
//! | [`MemberArgs`], [`member()`] | who the cluster is, and changes of it |
//! | [`LeaderArgs`], [`leader()`] | who leads |
//! | [`PacketArgs`], [`packet()`] | what a node stores, and how it is deleted |
//! | [`PolicyArgs`], [`policy()`] | who may publish |
//! | [`ZoneArgs`], [`zone()`] | what is served beside packets |
//! | [`ReloadArgs`], [`reload()`], [`LogFilterArgs`], [`log_filter()`] | what changes while a node runs |
//! | [`CompletionsArgs`], [`completions()`], [`ManArgs`], [`man()`] | the command line told to shells and `man` |
//! | [`EXIT_CODES`], [`exit_code`] | what scripts are told |
//! | [`RelayUrl`] | where a relay has its packets |
//! | [`open_key_file`] | a publisher's secret key, made if there is none |
//! | [`install_tls_provider`] | what every HTTP client of the process needs first |
//! | [`print()`], [`out!`], [`outln!`] | what goes to standard output |

mod admin;
mod change;
mod console;
mod dns;
mod exit;
mod key_file;
mod key_list;
mod leader;
mod manual;
mod member;
mod member_list;
mod nodes;
mod output;
mod packet;
mod packet_changes;
mod policy;
mod publish;
mod record;
mod relay;
mod relay_url;
mod resolve;
mod runtime;
mod span;
mod status;
mod table;
mod token;
mod zone;

pub use exit::{EXIT_CODES, exit_code};
pub use key_file::open as open_key_file;
pub use leader::{LeaderArgs, leader};
pub use manual::{CompletionsArgs, ManArgs, completions, man};
pub use member::{MemberArgs, member};
pub use output::print;
pub use packet::{PacketArgs, packet};
pub use policy::{PolicyArgs, policy};
pub use publish::{PublishArgs, publish};
pub use relay::install_tls_provider;
pub use relay_url::RelayUrl;
pub use resolve::{ResolveArgs, resolve};
pub use runtime::{LogFilterArgs, ReloadArgs, log_filter, reload};
pub use status::{StatusArgs, status};
pub use zone::{ZoneArgs, zone};

#[cfg(test)]
mod router_tests;

/// The origin of `quorate dev`.
pub const DEV_ORIGIN: &str = "quorate.test";
