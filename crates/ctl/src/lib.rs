//! The command-line client: what one can ask of relays and DNS servers, ours or others', and of the
//! nodes that one operates.
//!
//! It speaks public protocols and the admin API only and knows nothing of consensus or storage, so
//! that the crates of the server link no HTTP client. Its errors are sentences for the terminal:
//! `anyhow` carries them. Data go to standard output, everything else to standard error.
//!
//! | piece | what it is |
//! |---|---|
//! | [`ClientCommand`] | the commands that ask a relay, a DNS server or a node |
//! | [`CompletionsArgs`], [`completions()`], [`ManArgs`], [`man()`] | the command line told to shells and `man` |
//! | [`EXIT_CODES`], [`exit_code`], [`with_exit_codes`] | what scripts are told |
//! | [`RelayUrl`] | where a relay has its packets |
//! | [`open_key_file`] | a publisher's secret key, made if there is none |
//! | [`install_tls_provider`] | what every HTTP client of the process needs first |
//! | [`print()`], [`out!`], [`outln!`] | what goes to standard output |

mod admin;
mod cluster;
mod command;
mod console;
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

pub use command::{ClientCommand, with_exit_codes};
pub use exit::{EXIT_CODES, exit_code};
pub use http::install_tls_provider;
pub use key_file::open as open_key_file;
pub use manual::{CompletionsArgs, ManArgs, completions, man};
pub use output::print;
pub use relay_url::{DEV_ORIGIN, RelayUrl};

#[cfg(test)]
mod router_tests;
