//! The command-line client of relays, DNS servers and the admin API of nodes.
//! It uses public protocols and the admin API only, and depends on neither consensus nor storage, so that
//! the server contains no HTTP client. Its errors are sentences for the terminal, carried by `anyhow`. Data
//! goes to standard output, everything else to standard error.
//!
//! | item | purpose |
//! |---|---|
//! | [`ClientCommand`], [`SocketOf`] | the commands, and how they find the socket of a node |
//! | [`CompletionsArgs`], [`completions()`], [`ManArgs`], [`man()`] | shell completions and manual pages |
//! | [`EXIT_CODES`], [`exit_code`], [`with_exit_codes`] | exit codes |
//! | [`RelayUrl`] | the URL of the packets of a relay |
//! | [`open_key_file`] | a publisher's secret key, created if there is none |
//! | [`install_tls_provider`] | installs what every HTTP client needs |
//! | [`print()`], [`out!`], [`outln!`] | printing to standard output |

mod admin;
mod backup;
mod certificate;
mod cluster;
mod command;
mod console;
mod dht;
mod dns;
mod exit;
mod http;
mod input;
mod key_file;
mod key_list;
mod leader;
mod manual;
mod member;
mod member_list;
mod new_file;
mod nodes;
mod output;
mod packet;
mod packet_changes;
mod policy;
mod progress;
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
mod transfer;
mod zone;

pub use admin::SocketOf;
pub use backup::backup_text;
pub use command::{ClientCommand, with_exit_codes};
pub use exit::{EXIT_CODES, exit_code};
pub use http::install_tls_provider;
pub use key_file::open as open_key_file;
pub use manual::{CompletionsArgs, ManArgs, completions, man};
pub use output::print;
pub use progress::{lower_priority, progress_bar};
pub use relay_url::{DEV_ORIGIN, RelayUrl};
pub use span::date;

#[cfg(test)]
mod router_tests;
