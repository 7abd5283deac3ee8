//! The roof: configuration, the command line, and the wiring of a node.
//!
//! | module | what it holds |
//! |---|---|
//! | `cli` | the commands and their arguments |
//! | `config` | layers of settings, their checks, and which layer set each |
//! | `serve`, `dev` | one node, and a whole cluster in one process |
//! | `node`, `fronts`, `replication` | a node, put together; what it serves; the thread of its consensus |
//! | `start` | who a node is, what it is when it starts, and how it comes into its cluster |
//! | `advertised` | where other nodes reach it |
//! | `live_settings`, `logging` | what can be changed while a node runs; what the program tells of itself |
//! | `stop` | signals and exit codes |
//! | `log` | a look into its Raft log |
//! | `admin_token` | tokens for operators' programs |
//!
//! The commands that ask a relay, a DNS server or a running node are those of `quorate-ctl`.

#![allow(clippy::print_stderr)]

mod admin_token;
mod advertised;
mod cli;
mod config;
mod dev;
mod fronts;
mod live_settings;
mod log;
mod logging;
mod node;
mod own_address;
mod replication;
mod serve;
mod start;
mod stop;

fn main() -> std::process::ExitCode {
    cli::main()
}
